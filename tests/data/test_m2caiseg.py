from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_contract import DataSetContract

from acwskd_edge.data import DataSet, cases_in, open_data
from acwskd_edge.data.m2caiseg import PALETTE, decode
from acwskd_edge.errors import DataError


class TestM2caiSeg(DataSetContract):
    @pytest.fixture
    def data(self, m2caiseg_folder: Path) -> DataSet:
        return open_data(f"m2caiseg:{m2caiseg_folder}")


def test_the_test_folder_tests_and_validation_comes_from_training(m2caiseg_folder: Path) -> None:
    data = open_data(f"m2caiseg:{m2caiseg_folder}")
    assert cases_in(data, "test") == ["frame_6", "frame_7"]
    assert len(cases_in(data, "val")) == 1
    assert "only test figures are comparable" in str(data.warning)


def test_trainval_is_never_read(m2caiseg_folder: Path) -> None:
    before = open_data(f"m2caiseg:{m2caiseg_folder}").ids()
    shutil.copytree(m2caiseg_folder / "train", m2caiseg_folder / "trainval")
    assert open_data(f"m2caiseg:{m2caiseg_folder}").ids() == before


@pytest.mark.parametrize("part", ["trainval", "train"])
def test_a_part_is_refused_as_a_source(m2caiseg_folder: Path, part: str) -> None:
    shutil.copytree(m2caiseg_folder / "train", m2caiseg_folder / "trainval")
    with pytest.raises(DataError, match=f"leaks; .* next: --data m2caiseg:{m2caiseg_folder}$"):
        open_data(f"m2caiseg:{m2caiseg_folder / part}")


def test_a_frame_in_train_and_test_is_refused(m2caiseg_folder: Path) -> None:
    shutil.copy(m2caiseg_folder / "test/images/frame_6.jpg", m2caiseg_folder / "train/images")
    with pytest.raises(DataError, match=r"frame\(s\) frame_6 in train and in test"):
        open_data(f"m2caiseg:{m2caiseg_folder}")


def test_every_palette_colour_is_its_class_also_when_slightly_off() -> None:
    colors = np.array([[color for _, color in PALETTE]], np.int64)
    rng = np.random.default_rng(0)
    for shift in (0, *rng.integers(-20, 21, (5, 1, len(PALETTE), 3))):
        mask = np.clip(colors + shift, 0, 255).astype(np.uint8)
        assert decode(mask, "a").tolist() == [list(range(len(PALETTE)))]


def test_a_smaller_mask_is_laid_over_its_frame_without_new_classes(m2caiseg_folder: Path) -> None:
    mask = cv2.imread(str(m2caiseg_folder / "train/groundtruth/frame_0_gt.png"))[..., ::-1]
    label = open_data(f"m2caiseg:{m2caiseg_folder}").load("frame_0").label
    assert mask.shape[:2] == (38, 57)
    assert label is not None
    assert label.shape == (1, 40, 60)
    assert set(np.unique(label)) == set(np.unique(decode(mask, "a")))


def spoil(root: Path, how: str) -> None:
    """Spoil training frame 1."""
    image, mask = root / "train/images/frame_1.jpg", root / "train/groundtruth/frame_1_gt.png"
    if how == "cut":
        image.write_bytes(image.read_bytes()[:-100])
    elif how == "no picture":
        image.write_bytes(b"hello")
    elif how == "no mask":
        mask.unlink()
    elif how == "grey mask":
        cv2.imwrite(str(mask), np.zeros((40, 60), np.uint8))
    elif how == "photograph":
        cv2.imwrite(str(mask), np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8))
    elif how == "shape":
        cv2.imwrite(str(mask), cv2.imread(str(mask)).transpose(1, 0, 2))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("cut", "not a readable picture"),
        ("no picture", "not a readable picture"),
        ("no mask", "no file .*frame_1_gt.png"),
        ("grey mask", "is grey; allowed: RGB"),
        ("photograph", "of the mask is far from every palette colour"),
        ("shape", r"image is \(40, 60\) but mask is \(60, 40\)"),
    ],
)
def test_a_spoilt_frame_is_one_clear_line(m2caiseg_folder: Path, how: str, says: str) -> None:
    spoil(m2caiseg_folder, how)
    data = open_data(f"m2caiseg:{m2caiseg_folder}")
    with pytest.raises(DataError, match=says) as caught:
        data.load("frame_1")
    assert "\n" not in str(caught.value)
