"""Tiny data sets in their exact layout on disk."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import h5py
import nibabel
import numpy as np
from numpy.typing import NDArray


def blobs(seed: int, shape: tuple[int, int, int], classes: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """A volume whose classes are brighter boxes, and its label; (x, y, z) or (slices, rows, columns)."""
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    for k in range(1, classes):
        corner = [int(rng.integers(0, max(1, side // 2))) for side in shape]
        label[tuple(slice(c, c + max(2, side // 3)) for c, side in zip(corner, shape, strict=True))] = k
    return -100 + 80.0 * label + rng.normal(0, 10, shape), label


def write_flare(root: Path, case: str, seed: int, flip: bool = False) -> None:
    """One FLARE2022 case of 20x16x6 voxels, RAS or, flipped, stored right-to-left."""
    image, label = blobs(seed, (20, 16, 6), 4)
    affine = np.diag([-2.0 if flip else 2.0, 2.5, 5.0, 1.0])
    affine[:3, 3] = (10, -20, 30)
    for folder, name, voxels in (
        ("images", f"{case}_0000", image.astype(np.int16)),
        ("labels", case, label),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(voxels, affine), root / folder / f"{name}.nii.gz")


# Where organs lie on a 64x64 slice as BTCV's scans are stored: rows run to the patient's left, columns to anterior.
ORGANS = {
    "liver": (slice(4, 28), slice(20, 48)),
    "stomach": (slice(36, 48), slice(40, 52)),
    "spleen": (slice(48, 60), slice(16, 28)),
    "right kidney": (slice(12, 24), slice(4, 16)),
    "left kidney": (slice(40, 52), slice(4, 16)),
    "pancreas": (slice(32, 44), slice(28, 36)),
    "aorta": (slice(28, 36), slice(12, 20)),
    "gallbladder": (slice(16, 20), slice(52, 56)),
    "inferior vena cava": (slice(24, 28), slice(12, 16)),
}
SYNAPSE_TRAIN, SYNAPSE_TEST = (5, 6, 7, 9, 10, 21), (1, 2)


def write_synapse(root: Path, order: tuple[str, ...], suffix: str = "") -> Path:
    """Six training cases of four slices and two public test cases, with the label ids of `order`."""
    train, test = root / f"train_npz{suffix}", root / f"test_vol_h5{suffix}"
    train.mkdir(parents=True)
    test.mkdir()
    for number in SYNAPSE_TRAIN + SYNAPSE_TEST:
        label = np.zeros((4, 64, 64), np.float32)
        for i, name in enumerate(order):
            if name in ORGANS:
                label[(slice(None), *ORGANS[name])] = i
        noise = np.random.default_rng(number).normal(0, 0.02, label.shape)
        image = np.clip(0.2 + 0.06 * label + noise, 0, 1).astype(np.float32)
        if number in SYNAPSE_TEST:
            with h5py.File(test / f"case{number:04d}.npy.h5", "w") as volume:
                volume["image"], volume["label"] = image, label
            continue
        for i in range(len(label)):
            np.savez(train / f"case{number:04d}_slice{i:03d}.npz", image=image[i], label=label[i])
    return root


def write_pictures(root: Path, depth: str = "uint8", color: bool = False, count: int = 6) -> Path:
    """Pictures of 24x32 with three classes: grey with id masks, or RGB with colour masks and labels.json."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    colors = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], np.uint8)
    for number in range(count):
        bright, label = blobs(number, (1, 24, 32), 3)
        image = ((bright[0] + 200) * (10 if depth == "uint16" else 0.7)).astype(depth)
        picture = np.stack([image, image // 2, image // 3], axis=-1) if color else image
        cv2.imwrite(str(root / f"images/p{number}.png"), picture[..., ::-1] if color else picture)
        cv2.imwrite(str(root / f"masks/p{number}.png"), colors[label[0]][..., ::-1] if color else label[0])
    if color:
        labels = [{"id": i, "name": f"c{i}", "color": c} for i, c in enumerate(colors.tolist())]
        (root / "labels.json").write_text(json.dumps(labels))
    return root
