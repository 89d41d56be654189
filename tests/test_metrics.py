from __future__ import annotations

import numpy as np
import pytest

from acwskd_edge.metrics import dice_per_class, hd95, mean_skipping_nan


def test_dice_by_hand() -> None:
    truth = np.array([1, 1, 1, 2, 0, 0], np.uint8)
    pred = np.array([1, 1, 0, 2, 2, 0], np.uint8)
    assert dice_per_class(pred, truth, 3) == pytest.approx([4 / 5, 2 / 3])


def test_an_absent_class_is_left_out_or_counted_as_the_rule_says() -> None:
    empty, found = np.zeros(4, np.uint8), np.array([0, 1, 0, 0], np.uint8)
    assert np.isnan(dice_per_class(found, empty, 2)).all()
    assert dice_per_class(found, empty, 2, "transunet") == [1.0]
    assert dice_per_class(empty, empty, 2, "transunet") == [0.0]
    assert dice_per_class(empty, found, 2) == [0.0]


def test_hd95_of_two_shifted_squares_is_the_shift() -> None:
    a, b = np.zeros((1, 40, 40), bool), np.zeros((1, 40, 40), bool)
    a[:, 10:20, 10:20], b[:, 10:20, 13:23] = True, True
    assert hd95(a, b) == 3.0
    assert hd95(a, b, (5.0, 1.0, 2.0)) == 6.0
    assert hd95(a, a) == 0.0
    assert np.isnan(hd95(a, np.zeros_like(a)))


def test_mean_skipping_nan_of_nothing_is_nan_without_a_warning() -> None:
    assert mean_skipping_nan(np.array([[1.0, np.nan], [3.0, np.nan]]), axis=0)[0] == 2.0
    assert np.isnan(mean_skipping_nan(np.array([np.nan])))
