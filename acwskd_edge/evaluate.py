"""Scoring anything that turns pixels into masks, on whole cases and on the cases' own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Contract
from acwskd_edge.metrics import (
    SKIP_EMPTY,
    TRANSUNET,
    bootstrap_interval,
    dice_per_class,
    hd95,
    mean_skipping_nan,
    transunet_rule,
)
from acwskd_edge.preprocess import mask_of, normalise, to_grid, to_image
from acwskd_edge.runtimes import Runtime

if TYPE_CHECKING:  # the readers of data need more than numpy
    from acwskd_edge.data.case import Case, DataSet

Segment = Callable[[NDArray[np.generic]], NDArray[np.uint8]]
"""Pixels (D, h, w, C) on the network's grid -> masks (D, h, w)."""


@dataclass(frozen=True)
class Prepared:
    """A case with its slices on the network's grid."""

    case: Case
    pixels: NDArray[np.generic]  # (D, h, w, C), the contract's pixel dtype


@dataclass(frozen=True)
class Scores:
    """Dice and, if asked for, HD95 of every case (rows) and foreground class (columns)."""

    cases: list[str]
    patients: list[str]  # of the cases
    classes: list[str]  # names, background left out
    dice: NDArray[np.float64]  # (N, K-1); NaN where the truth has no such class
    hd95: NDArray[np.float64] | None  # (N, K-1) in mm, or pixels where the data has no spacing; NaN if a mask is empty
    found: NDArray[np.bool_]  # (N, K-1) whether the class was predicted at all

    @property
    def per_class(self) -> NDArray[np.float64]:
        """(K-1,) mean over the cases that have the class."""
        return mean_skipping_nan(self.dice, axis=0)

    @property
    def mean(self) -> float:
        """Macro Dice: mean over classes of `per_class`."""
        return float(mean_skipping_nan(self.per_class))

    @property
    def empty(self) -> int:
        """Masks predicted empty where the truth has the class."""
        return int((~self.found & ~np.isnan(self.dice)).sum())

    def to_dict(self) -> dict[str, Any]:
        """JSON: mean, per class, per case by the skip-empty rule; absent values are null.

        With HD95 also a 95 % bootstrap interval of the mean over patients, and the same block by TransUNet's rule.
        """
        result = {
            "rule": SKIP_EMPTY,
            "empty_masks": self.empty,
            "patients": dict(zip(self.cases, self.patients, strict=True)),
        }
        result |= self._block(self.dice, self.hd95)
        if self.hd95 is not None:
            result[TRANSUNET] = self._block(*transunet_rule(self.dice, self.hd95, self.found))
        return result

    def _block(self, dice: NDArray[np.float64], distance: NDArray[np.float64] | None) -> dict[str, Any]:
        per_class = mean_skipping_nan(dice, axis=0)
        block: dict[str, Any] = {"mean_dice": _plain(mean_skipping_nan(per_class)), "dice": self._named(per_class)}
        if distance is not None:
            far = mean_skipping_nan(distance, axis=0)
            block["mean_dice_ci95"] = [_plain(end) for end in bootstrap_interval(dice, self.patients)]
            block |= {"mean_hd95": _plain(mean_skipping_nan(far)), "hd95": self._named(far)}
            block["hd95_cases"] = dict(zip(self.cases, map(self._named, distance), strict=True))
        return block | {"cases": dict(zip(self.cases, map(self._named, dice), strict=True))}

    def _named(self, values: NDArray[np.float64]) -> dict[str, float | None]:
        return {name: _plain(value) for name, value in zip(self.classes, values, strict=True)}


def _plain(value: float | NDArray[np.float64]) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def prepare(data: DataSet, ids: Iterable[str], contract: Contract) -> list[Prepared]:
    """Load cases and resize their slices once."""
    prepared = []
    for one in ids:
        case = data.load(one)
        prepared.append(Prepared(case, np.stack([to_grid(piece, contract) for piece in case.image])))
    return prepared


def score(segment: Segment, cases: list[Prepared], contract: Contract, *, with_hd95: bool = False) -> Scores:
    """Segment every slice, put the masks back onto the cases' own grids and compare with the truth."""
    dice, distances, found = [], [], []
    for one in cases:
        truth = one.case.label
        assert truth is not None
        masks = segment(one.pixels)
        pred = np.stack([to_image(mask, contract, *truth.shape[1:]) for mask in masks])
        dice.append(dice_per_class(pred, truth, contract.classes))
        found.append(np.bincount(pred.ravel(), minlength=contract.classes)[1:] > 0)
        if with_hd95:
            distances.append([hd95(pred == k, truth == k, one.case.spacing) for k in range(1, contract.classes)])
    return Scores(
        [one.case.id for one in cases],
        [one.case.patient for one in cases],
        [label.name for label in contract.labels[1:]],
        np.array(dice),
        np.array(distances) if with_hd95 else None,
        np.array(found),
    )


def feed(pixels: NDArray[np.generic], contract: Contract, io: str) -> NDArray[np.generic]:
    """Pixels (h, w, C) on the network's grid -> what a runtime takes: (1, C, h, w), normalised for io `tensor`."""
    return pixels.transpose(2, 0, 1)[None] if io == "raw" else normalise(pixels, contract)


def segment_with(runtime: Runtime, contract: Contract, io: str) -> Segment:
    """An artefact as a `Segment`, one slice at a time as on a device."""

    def segment(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        masks = []
        for piece in pixels:
            output = runtime(feed(piece, contract, io))
            masks.append(output[0].astype(np.uint8) if io == "raw" else mask_of(output)[0])
        return np.stack(masks)

    return segment
