from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from acwskd_edge.contract import Contract
from acwskd_edge.errors import DataError
from acwskd_edge.picture import luma, overlay, read_picture, tint


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_luma_is_opencvs_and_leaves_grey_alone() -> None:
    picture = random(64, 64, 3)
    np.testing.assert_array_equal(luma(picture), cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    greys = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    np.testing.assert_array_equal(luma(greys)[0], np.arange(256))


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4)], ids=["grey", "rgb", "alpha"])
def test_a_picture_becomes_hu_by_the_window(contract: Contract, tmp_path: Path, shape: tuple[int, ...]) -> None:
    picture = random(*shape)
    cv2.imwrite(str(tmp_path / "x.png"), picture)
    shown = picture if picture.ndim == 2 else luma(picture[..., 2::-1])
    wanted = -160 + shown.astype(np.float64) / 255 * 400
    np.testing.assert_array_equal(read_picture(tmp_path / "x.png", contract)[..., 0], wanted)


def test_16_bits_are_refused(contract: Contract, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((4, 4), np.uint16))
    with pytest.raises(DataError, match="uint16 pixels; allowed: 8 bits per channel"):
        read_picture(tmp_path / "x.png", contract)


def test_a_tint_is_the_mean_of_grey_and_colour_and_spares_background(contract: Contract) -> None:
    image = np.full((2, 2), 240, np.int16)  # white
    mask = np.array([[0, 1], [2, 0]], np.uint8)
    shown = tint(image, mask, contract, opacity=0.4)
    assert shown.tolist() == [[[255] * 3, [255, 153, 153]], [[153, 255, 153], [255] * 3]]


def test_an_overlay_has_a_line_round_each_class(contract: Contract) -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[2:7, 2:7] = 1
    shown = overlay(np.zeros((9, 9), np.int16), mask, replace(contract))
    assert shown[2, 2].tolist() == [255, 0, 0]
    np.testing.assert_array_equal(shown[4, 4], tint(np.zeros((9, 9), np.int16), mask, contract)[4, 4])
