from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from acwskd_edge.metrics import bootstrap_interval, dice_per_class, hd95, mean_skipping_nan, transunet_rule


def test_dice_by_hand() -> None:
    truth = np.array([1, 1, 1, 2, 0, 0], np.uint8)
    pred = np.array([1, 1, 0, 2, 2, 0], np.uint8)
    assert dice_per_class(pred, truth, 3) == pytest.approx([4 / 5, 2 / 3])


def test_an_absent_class_is_left_out_or_counted_as_the_rule_says() -> None:
    empty, found = np.zeros(4, np.uint8), np.array([0, 1, 0, 0], np.uint8)
    absent = dice_per_class(found, empty, 2)
    assert np.isnan(absent).all()
    assert dice_per_class(empty, found, 2) == [0.0]
    nowhere = np.array([np.nan])
    assert transunet_rule(absent, nowhere, np.array([True])) == ([1.0], [0.0])
    assert transunet_rule(absent, nowhere, np.array([False])) == ([0.0], [0.0])
    assert transunet_rule(np.array([0.0]), nowhere, np.array([False])) == ([0.0], [0.0])
    assert transunet_rule(np.array([0.8]), np.array([2.5]), np.array([True])) == ([0.8], [2.5])


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


def random_masks(seed: int, classes: int = 4) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two volumes of smooth shapes that overlap in part, touch the border and may lack a class."""
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.normal(size=(6, 24, 20, classes)), (1, 3, 3, 0)) for _ in range(2)]
    first, second = fields[0], 0.6 * fields[0] + 0.4 * fields[1]
    return first.argmax(axis=3).astype(np.uint8), second.argmax(axis=3).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MONAI's own deprecations
@pytest.mark.parametrize("spacing", [None, (5.0, 0.8, 1.3)])
@pytest.mark.parametrize("seed", range(4))
def test_dice_and_hd95_are_monais(seed: int, spacing: tuple[float, float, float] | None) -> None:
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance

    pred, truth = random_masks(seed)
    truth[truth == 3] = 0 if seed == 0 else 3
    hot = [torch.from_numpy(np.stack([one == k for k in range(4)])[None]) for one in (pred, truth)]
    monai_dice = compute_dice(*hot, include_background=False, ignore_empty=True)[0].numpy()
    assert dice_per_class(pred, truth, 4) == pytest.approx(monai_dice, nan_ok=True)
    theirs = compute_hausdorff_distance(*hot, include_background=False, percentile=95, spacing=spacing)[0].numpy()
    ours = [hd95(pred == k, truth == k, spacing) for k in (1, 2, 3)]
    assert ours == pytest.approx(np.where(np.isfinite(theirs), theirs, np.nan), nan_ok=True, rel=1e-5)


def test_the_interval_is_over_patients_not_over_cases() -> None:
    rng = np.random.default_rng(0)
    of_patient = rng.normal(0.8, 0.05, 40)
    twice = np.repeat(of_patient, 2)[:, None]  # two equal phases a patient say no more than one
    once = bootstrap_interval(of_patient[:, None], [f"p{i}" for i in range(40)])
    assert bootstrap_interval(twice, [f"p{i // 2}" for i in range(80)]) == pytest.approx(once)
    error = of_patient.std() / np.sqrt(40)
    assert once == pytest.approx((of_patient.mean() - 1.96 * error, of_patient.mean() + 1.96 * error), abs=0.3 * error)


def test_the_interval_is_of_the_macro_mean_and_skips_absent_classes() -> None:
    values = np.array([[1.0, 0.5], [1.0, np.nan], [1.0, 0.5]])
    assert bootstrap_interval(values, ["a", "b", "c"]) == pytest.approx((0.75, 1.0))  # 1.0: only b was drawn
    assert np.isnan(bootstrap_interval(values, ["a", "a", "a"])).all()
    assert np.isnan(bootstrap_interval(np.full((2, 2), np.nan), ["a", "b"])).all()
