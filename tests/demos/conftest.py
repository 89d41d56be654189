"""What the demos' tests share: golden vectors of the contract, the shipped bundle, a bundle for colour pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from demos.tools import ROOT, program, web_files
from demos.vectors import write
from disk import blobs


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of golden vectors, see `vectors.py`."""
    folder = tmp_path_factory.mktemp("vectors")
    write(folder)
    return folder


@pytest.fixture(scope="session")
def node() -> str:
    """The path of node; the page's libraries are in place."""
    web_files()
    return program("node", package="nodejs")


@pytest.fixture(scope="session")
def web_bundle() -> Path:
    """The bundle that comes with the web demo."""
    return ROOT / "web_demo/bundle"


@pytest.fixture(scope="session")
def colour_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for RGB pictures of odd sizes, learned in seconds: tflite in all precisions."""
    from convert.basis import Settings
    from convert.pipeline import convert
    from train.loop import train
    from train.recipe import Recipe

    root = tmp_path_factory.mktemp("colour")
    tones = np.array([(40, 30, 35), (200, 60, 60), (70, 190, 80), (80, 90, 210)], np.uint8)
    for part, count in (("train", 10), ("val", 3)):
        for kind in ("images", "masks"):
            (root / "data" / part / kind).mkdir(parents=True)
        for number in range(count):
            _, label = blobs(1000 * count + number, (1, 61, 87), 4)
            noise = np.random.default_rng(number).integers(0, 30, (61, 87, 3))
            picture = (tones[label[0]] + noise).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(root / "data" / part / "images" / f"{part}{number}.png"), picture[..., ::-1])
            cv2.imwrite(str(root / "data" / part / "masks" / f"{part}{number}.png"), label[0])
    recipe = Recipe(
        data=f"folder:{root / 'data'}", model="s2d8", size=48, steps=80, batch=4, validate_every=40, threads=1
    )
    run = train(recipe, root / "run")
    return convert(run, Settings(["tflite"], ["fp32", "fp16", "int8"], ["tensor"], max_dice_drop=0.5))
