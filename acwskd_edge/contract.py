"""The contract: everything needed to turn an image into a network's input and its output into a mask.

It is born in training, travels with the checkpoint, and is embedded in every artefact, so that Python, Java,
Swift and JavaScript read the same file. `preprocess.py` is its Python implementation.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from acwskd_edge.errors import ContractError

SCHEMA = 1
PIXELS = ("uint8", "int16")
RESIZE_MODES = ("letterbox", "stretch")


@dataclass(frozen=True)
class Label:
    """One class: `id` is its value in a mask, `color` its red, green, blue on screen (0 to 255)."""

    id: int
    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Intensity:
    """x -> (clip(x, low, high) - mean) / std, per channel; `low` also fills what letterboxing adds."""

    low: float  # HU for CT, pixel value otherwise
    high: float
    mean: tuple[float, ...]  # one per channel
    std: tuple[float, ...]


@dataclass(frozen=True)
class Contract:
    """See the field comments; `to_json` gives the exact file. Two equal contracts give equal files."""

    name: str  # of the model, for people
    modality: str  # CT, MR, RGB ...
    height: int  # of the network's grid, pixels
    width: int
    channels: int
    pixel: str  # dtype of the resized image before `intensity`: uint8 or int16; values are rounded half up
    resize: str  # letterbox keeps the aspect ratio and pads, stretch does not
    intensity: Intensity
    labels: tuple[Label, ...]  # ids 0..K-1 in order; the logits' channel k is label k
    spacing: tuple[float, float] | None  # mm per row, column of the network's grid: median over training
    intended_use: str
    provenance: dict[str, Any] = field(default_factory=dict)  # data, split hash, seed, commit, measured Dice

    def __post_init__(self) -> None:
        def check(ok: bool, what: str, allowed: str) -> None:
            if not ok:
                raise ContractError(f"contract: {what}", allowed=allowed)

        check(self.pixel in PIXELS, f"pixel {self.pixel!r}", ", ".join(PIXELS))
        check(self.resize in RESIZE_MODES, f"resize {self.resize!r}", ", ".join(RESIZE_MODES))
        size = min(self.height, self.width, self.channels)
        check(size >= 1, f"size {self.height}x{self.width}x{self.channels}", "positive integers")
        ids = [label.id for label in self.labels]
        check(len(ids) >= 2, f"{len(ids)} label(s)", "background and at least one class")
        check(ids == list(range(len(ids))), f"label ids {ids}", "0, 1, 2 ... in order")
        norm = self.intensity
        check(norm.low < norm.high, f"intensity range [{norm.low}, {norm.high}]", "low < high")
        check(
            len(norm.mean) == len(norm.std) == self.channels,
            f"{len(norm.mean)} mean(s), {len(norm.std)} std(s) for {self.channels} channel(s)",
            "one mean and one std per channel",
        )
        check(all(s > 0 for s in norm.std), f"std {norm.std}", "positive numbers")

    @property
    def classes(self) -> int:
        """Number of classes with background."""
        return len(self.labels)

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Colours by label id."""
        return [label.color for label in self.labels]

    def with_provenance(self, **facts: Any) -> Contract:
        """A copy with these facts added to its provenance."""
        return replace(self, provenance={**self.provenance, **facts})

    def with_spacing(self, spacing: tuple[float, float]) -> Contract:
        """A copy for this spacing of the network's grid."""
        return replace(self, spacing=spacing)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, with the rules that the schema fixes spelled out for readers in other languages."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "modality": self.modality,
            "input": {
                "height": self.height,
                "width": self.width,
                "channels": self.channels,
                "pixel": self.pixel,
            },
            "resize": {"mode": self.resize, "filter": "triangle", "half_pixel": True, "round": "half_up"},
            "intensity": asdict(self.intensity),
            "spacing_mm": self.spacing,
            "labels": [asdict(label) for label in self.labels],
            "output": {"logits": "class k is channel k", "mask": "argmax, lowest id wins", "to_image": "nearest"},
            "intended_use": self.intended_use,
            "provenance": self.provenance,
        }

    def to_json(self) -> str:
        """The file's text: sorted keys, so that equal contracts have equal bytes."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, data: Any, source: str = "contract") -> Contract:
        """Read a JSON object.

        Raises:
            ContractError: another schema, a missing key or a value of the wrong kind; names `source`.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else type(data).__name__
            raise ContractError(
                f"{source}: contract schema {found!r}",
                allowed=f"schema {SCHEMA}",
                hint="use the acwskd-edge release that wrote it, or convert again",
            )
        try:
            spacing = data["spacing_mm"]
            return cls(
                name=str(data["name"]),
                modality=str(data["modality"]),
                height=int(data["input"]["height"]),
                width=int(data["input"]["width"]),
                channels=int(data["input"]["channels"]),
                pixel=str(data["input"]["pixel"]),
                resize=str(data["resize"]["mode"]),
                intensity=Intensity(
                    low=float(data["intensity"]["low"]),
                    high=float(data["intensity"]["high"]),
                    mean=tuple(float(v) for v in data["intensity"]["mean"]),
                    std=tuple(float(v) for v in data["intensity"]["std"]),
                ),
                labels=tuple(
                    Label(int(one["id"]), str(one["name"]), tuple(int(c) for c in one["color"]))  # type: ignore[arg-type]
                    for one in data["labels"]
                ),
                spacing=None if spacing is None else (float(spacing[0]), float(spacing[1])),
                intended_use=str(data["intended_use"]),
                provenance=dict(data["provenance"]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ContractError(
                f"{source}: contract is incomplete or malformed ({type(error).__name__}: {error})",
                hint="see docs/architecture.md for the schema; do not edit contracts by hand",
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> Contract:
        """Read contract.json.

        Raises:
            ContractError: the file is absent, not JSON, or not a contract.
        """
        path = Path(path)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ContractError(f"no contract at {path}", hint="give a run or bundle folder") from error
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ContractError(f"{path} is not a JSON file ({error})") from error
        return cls.from_dict(data, str(path))
