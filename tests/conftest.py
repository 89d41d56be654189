"""Fixtures that several families of tests share: tiny data in its exact layout on disk, and a tiny finished run."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from disk import blobs, write_flare, write_synapse

from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.data.m2caiseg import PALETTE as M2CAI_PALETTE
from acwskd_edge.data.synapse import TRANSUNET


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


@pytest.fixture
def synapse_folder(tmp_path: Path) -> Path:
    """TransUNet's pack of Synapse."""
    return write_synapse(tmp_path / "synapse", TRANSUNET)


@pytest.fixture
def m2caiseg_folder(tmp_path: Path) -> Path:
    """Six training frames and two test frames of 40x60; the masks of the first are smaller, as some really are."""
    root = tmp_path / "m2caiseg"
    for number in range(8):
        part = root / ("test" if number > 5 else "train")
        for name in ("images", "groundtruth"):
            (part / name).mkdir(parents=True, exist_ok=True)
        _, label = blobs(number, (1, 40, 60), 5)
        colors = np.array([color for _, color in M2CAI_PALETTE], np.uint8)[label[0]]
        noise = np.random.default_rng(number).integers(0, 40, colors.shape)
        image = (colors * 0.8 + noise).astype(np.uint8)
        mask = cv2.resize(colors, (57, 38), interpolation=cv2.INTER_NEAREST) if number == 0 else colors
        cv2.imwrite(str(part / f"images/frame_{number}.jpg"), image[..., ::-1])
        cv2.imwrite(str(part / f"groundtruth/frame_{number}_gt.png"), mask[..., ::-1])
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
