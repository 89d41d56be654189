"""Golden vectors that the four languages must agree on: every rule of the contract, odd sizes, 16 bits, colour, ties.

    python tests/demos/vectors.py FOLDER

writes FOLDER/<name>/ with contract.json and image, pixels, input, logits, probability, mask and tint as .npy; input is
NHWC, logits are (1, K, h, w). Everything is computed by the library itself, whose own tests hold it to PIL and torch.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.files import write_atomic
from acwskd_edge.picture import tint
from acwskd_edge.preprocess import mask_of, normalise, to_grid, to_image

COLORS = [(0, 0, 0), (220, 40, 40), (40, 180, 60), (60, 90, 230), (240, 200, 30), (170, 60, 200)]


@dataclass(frozen=True)
class Vector:
    """One image for one contract."""

    name: str
    shape: tuple[int, ...]  # of the image
    dtype: str = "int16"  # of the image's file
    grid: tuple[int, int] = (32, 48)
    channels: int = 1
    pixel: str = "int16"
    resize: str = "letterbox"
    low: float = -160.0
    high: float = 240.0
    mean: tuple[float, ...] = (40.0,)
    std: tuple[float, ...] = (123.4,)
    classes: int = 4

    @property
    def contract(self) -> Contract:
        """For this vector alone."""
        labels = tuple(Label(i, f"class {i}", COLORS[i]) for i in range(self.classes))
        norm = Intensity(self.low, self.high, self.mean, self.std)
        return Contract(
            self.name, "test", *self.grid, self.channels, self.pixel, self.resize, norm, labels, None, "tests of ports"
        )


COLOUR = {"dtype": "uint8", "channels": 3, "pixel": "uint8", "low": 0.0, "high": 255.0}
MEAN, STD = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)
VECTORS = (
    Vector("ct-odd-sizes", (97, 131)),
    Vector("ct-tall-letterbox", (151, 40)),
    Vector("ct-stretch", (61, 87), resize="stretch"),
    Vector("ct-larger-grid", (17, 23), grid=(64, 64)),
    Vector("ct-beyond-16-bits", (45, 45), dtype="float64", low=-1000.0, high=3000.0),
    Vector("mr-uint8", (216, 256), dtype="uint8", pixel="uint8", low=0.0, high=255.0, mean=(41.3,), std=(52.7,)),
    Vector("rgb-odd-sizes", (123, 217, 3), mean=MEAN, std=STD, classes=6, **COLOUR),  # type: ignore[arg-type]
    Vector("rgb-stretch", (434, 774, 3), resize="stretch", grid=(48, 48), mean=MEAN, std=STD, **COLOUR),  # type: ignore[arg-type]
    Vector("rgb-float32", (33, 31, 3), mean=MEAN, std=STD, **{**COLOUR, "dtype": "float32"}),  # type: ignore[arg-type]
    Vector("one-pixel", (1, 1)),
    Vector("same-size", (32, 48)),
    Vector("exact-halves", (64, 96)),
)


def image_of(vector: Vector, rng: np.random.Generator) -> NDArray[np.generic]:
    """Smooth shapes under noise, over the whole range of the dtype's sensible values and beyond the window."""
    rows, cols = np.ogrid[: vector.shape[0], : vector.shape[1]]
    wave = np.sin(rows / 7.3) * np.cos(cols / 5.1)
    wave = wave[..., None] if len(vector.shape) == 3 else wave
    span = vector.high - vector.low
    values = vector.low + span * (0.5 + 0.6 * wave) + rng.normal(0, span / 20, vector.shape)
    if vector.name == "exact-halves":  # 2x2 means that end in .5
        values = rng.integers(0, 2, vector.shape) * 2.0 + (cols % 2)
    if vector.name == "ct-beyond-16-bits":
        values[:5], values[-5:] = 1e6, -1e6
    if vector.dtype == "uint8":
        values = values.clip(0, 255)
    return np.floor(values).astype(vector.dtype) if "int" in vector.dtype else values.astype(vector.dtype)


def write(folder: Path) -> list[str]:
    """Write every vector; returns their names."""
    for number, vector in enumerate(VECTORS):
        rng = np.random.default_rng(number)
        contract = vector.contract
        image = image_of(vector, rng)
        pixels = to_grid(image, contract)
        logits = rng.normal(0, 4, (1, vector.classes, *vector.grid)).astype(np.float32)
        logits[:, :, ::3] = np.round(logits[:, :, ::3])  # ties
        exps = np.exp(logits - logits.max(axis=1, keepdims=True))
        mask = to_image(mask_of(logits)[0], contract, image.shape[0], image.shape[1])
        parts = {
            "image": image,
            "pixels": pixels,
            "input": normalise(pixels, contract).transpose(0, 2, 3, 1),
            "logits": logits,
            "probability": exps / exps.sum(axis=1, keepdims=True),
            "mask": mask,
            "tint": tint(image, mask, contract),
        }
        place = folder / vector.name
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / "contract.json", contract.to_json())
        for name, values in parts.items():
            np.save(place / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)
    return [one.name for one in VECTORS]


if __name__ == "__main__":
    print("\n".join(write(Path(sys.argv[1]))))
