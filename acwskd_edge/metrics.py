"""Dice and HD95, per class and case, with the two rules in use for empty masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice_per_class(
    pred: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int, rule: str = "skip-empty"
) -> NDArray[np.float64]:
    """Dice 2|A∩B| / (|A|+|B|) of classes 1..K-1 over a whole case.

    Args:
        pred, truth: masks of equal shape.
        classes: K, with background.
        rule: what an empty truth gives. `skip-empty` (MONAI's ignore_empty): NaN, left out of every mean.
            `transunet`: 1 where something was predicted, else 0, as in the TransUNet evaluation code.
    Returns:
        (K-1,) float64.
    """
    pairs = np.bincount(truth.ravel().astype(np.int64) * classes + pred.ravel(), minlength=classes * classes)
    table = pairs.reshape(classes, classes).astype(np.float64)
    overlap, in_truth, in_pred = np.diag(table)[1:], table.sum(axis=1)[1:], table.sum(axis=0)[1:]
    if rule == "transunet":
        dice = np.where(in_truth == 0, 1.0, 2 * overlap / np.maximum(in_truth + in_pred, 1))
        return np.where(in_pred == 0, 0.0, dice)
    return np.where(in_truth == 0, np.nan, 2 * overlap / np.maximum(in_truth + in_pred, 1))


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    from scipy.ndimage import binary_erosion

    return np.argwhere(mask & ~binary_erosion(mask))


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
