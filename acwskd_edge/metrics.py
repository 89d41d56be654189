"""Dice and HD95, per class and case, the two rules in use for empty masks, and intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SKIP_EMPTY, TRANSUNET = "skip-empty", "transunet"
RULES = (SKIP_EMPTY, TRANSUNET)  # what a class counts for in a case that lacks it


def dice_per_class(pred: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> NDArray[np.float64]:
    """Dice 2|A∩B| / (|A|+|B|) of classes 1..K-1 over a whole case, as MONAI's `compute_dice`.

    Args:
        pred, truth: masks of equal shape.
        classes: K, with background.
    Returns:
        (K-1,) float64; NaN where the truth has no such class, to be left out of every mean (`skip-empty`).
    """
    pairs = np.bincount(truth.ravel().astype(np.int64) * classes + pred.ravel(), minlength=classes * classes)
    table = pairs.reshape(classes, classes).astype(np.float64)
    overlap, in_truth, in_pred = np.diag(table)[1:], table.sum(axis=1)[1:], table.sum(axis=0)[1:]
    return np.where(in_truth == 0, np.nan, 2 * overlap / np.maximum(in_truth + in_pred, 1))


def transunet_rule(
    dice: NDArray[np.float64], distance: NDArray[np.float64], found: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dice and distances of the skip-empty rule -> as `calculate_metric_percase` of TransUNet's utils.py counts them.

    Truth empty: Dice 1 where something was predicted, else 0. Distance 0 where either mask is empty. The distance
    itself stays MONAI's (larger of the directed percentiles, mm), where TransUNet takes medpy's (percentile of both
    directions together, voxels).

    Args:
        dice, distance: NaN where undefined; found: whether the class was predicted; all of one shape.
    """
    return np.where(np.isnan(dice), found.astype(np.float64), dice), np.where(np.isnan(distance), 0.0, distance)


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    from scipy.ndimage import binary_erosion, find_objects

    box = find_objects(mask.view(np.uint8))[0]  # an organ is a small part of a scan
    part = mask[box]
    return np.argwhere(part & ~binary_erosion(part)) + [side.start for side in box]


def hd95(pred: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: tuple[float, ...] | None = None) -> float:
    """95th percentile of the symmetric surface distance: the larger of the two directed percentiles (as in MONAI).

    Args:
        pred, truth: boolean masks of one class, any number of axes.
        spacing: mm per axis; None measures in pixels.
    Returns:
        The distance; NaN if either mask is empty.
    """
    from scipy.spatial import KDTree

    if not pred.any() or not truth.any():
        return float("nan")
    scale = np.ones(pred.ndim) if spacing is None else np.asarray(spacing)
    ours, theirs = _surface(pred) * scale, _surface(truth) * scale
    there, _ = KDTree(theirs).query(ours)
    back, _ = KDTree(ours).query(theirs)
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def mean_skipping_nan(values: NDArray[np.float64], axis: int | None = None) -> NDArray[np.float64]:
    """Mean without NaN; NaN where nothing is left, without a warning."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count == 0, np.nan, total / np.maximum(count, 1))


def bootstrap_interval(
    values: NDArray[np.float64], patients: Sequence[str], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the macro mean (over classes of the mean over cases), patients drawn with return.

    Args:
        values: (N, K-1), one row a case, NaN where undefined; a difference of two methods gives a paired interval.
        patients: of the N cases; cases of a patient are drawn together.
    Returns:
        the ends; NaN with fewer than two patients. The same input gives the same ends.
    """
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    count, known = len(names), ~np.isnan(values)
    if count < 2 or not known.any():
        return float("nan"), float("nan")
    belongs = (owner[None, :] == np.arange(count)[:, None]).astype(np.float64)  # (P, N)
    totals, counts = belongs @ np.where(known, values, 0.0), belongs @ known.astype(np.float64)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
    total, seen = drawn @ totals, drawn @ counts
    per_class = np.where(seen == 0, np.nan, total / np.maximum(seen, 1))
    low, high = np.nanpercentile(mean_skipping_nan(per_class, axis=1), [2.5, 97.5])
    return float(low), float(high)
