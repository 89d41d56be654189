"""Fixtures that several families of tests share: tiny data in its exact layout on disk, and a tiny finished run."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from acwskd_edge.contract import Contract, Intensity, Label


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Two test workers on two cores: more threads than that only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture
def contract() -> Contract:
    """A CT contract of 32x48, letterboxed."""
    return Contract(
        name="tiny",
        modality="CT",
        height=32,
        width=48,
        channels=1,
        pixel="int16",
        resize="letterbox",
        intensity=Intensity(-160.0, 240.0, (40.0,), (200.0,)),
        labels=(Label(0, "background", (0, 0, 0)), Label(1, "liver", (255, 0, 0)), Label(2, "spleen", (0, 255, 0))),
        spacing=(3.0, 3.0),
        intended_use="tests",
        provenance={"data": "tiny"},
    )


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


@pytest.fixture
def flare_folder(tmp_path: Path) -> Path:
    """Six FLARE2022 cases, one of them a public test case."""
    for number in (1, 2, 3, 4, 5, 10):
        write_flare(tmp_path / "flare", f"FLARE22_Tr_{number:04d}", number, flip=number == 2)
    return tmp_path / "flare"


@pytest.fixture
def acdc_folder(tmp_path: Path) -> Path:
    """Five ACDC patients, two phases each."""
    root = tmp_path / "acdc"
    root.mkdir()
    for patient in (1, 2, 3, 4, 6):
        for frame in (1, 12):
            image, label = blobs(100 * patient + frame, (4, 24, 20), 4)
            scaled = (image - image.min()) / (image.max() - image.min()) * 255
            with h5py.File(root / f"patient{patient:03d}_frame{frame:02d}.h5", "w") as volume:
                volume["image"], volume["label"] = scaled.astype(np.uint8), label
    return root


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on four FLARE2022 cases: bright boxes, learned in seconds."""
    from train.loop import train
    from train.recipe import Recipe

    root = tmp_path_factory.mktemp("tiny")
    for number in (1, 2, 3, 4, 5):
        write_flare(root / "data", f"FLARE22_Tr_{number:04d}", number)
    recipe = Recipe(data=f"flare22:{root / 'data'}", size=32, steps=60, batch=4, validate_every=30, threads=1)
    return train(recipe, root / "run")
