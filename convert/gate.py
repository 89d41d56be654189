"""The gate: an artefact is measured in a real runtime on validation cases and refused if Dice drops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.bundle import Golden
from acwskd_edge.contract import Contract
from acwskd_edge.evaluate import Prepared, Scores, Segment, feed, score
from acwskd_edge.metrics import mean_skipping_nan
from acwskd_edge.preprocess import mask_of, normalise
from acwskd_edge.runtimes import Runtime
from acwskd_edge.verify import FP32_LOGIT_ERROR

FP32_AGREEMENT = 0.9999


@dataclass
class Reference:
    """What the checkpoint itself says of the gate's cases."""

    cases: list[Prepared]
    logits: list[NDArray[np.float32]]  # one (1, K, h, w) per slice, cases in order
    scores: Scores


@dataclass
class Tally:
    """Agreement with the reference, gathered slice by slice."""

    reference: list[NDArray[np.float32]]
    index: int = 0
    equal: int = 0
    pixels: int = 0
    error: float = 0.0
    finite: bool = True
    masks: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(self, output: NDArray[np.generic], io: str) -> NDArray[np.uint8]:
        """Compare one output with the reference of the same slice; returns its mask (h, w)."""
        wanted = self.reference[self.index % len(self.reference)]
        self.index += 1
        if io == "tensor":
            self.finite &= bool(np.isfinite(output).all())
            self.error = max(self.error, float(np.abs(np.asarray(output, np.float32) - wanted).max()))
        mask = output[0].astype(np.uint8) if io == "raw" else mask_of(output)[0]
        self.equal += int((mask == mask_of(wanted)[0]).sum())
        self.pixels += mask.size
        return mask

    def to_dict(self, io: str) -> dict[str, Any]:
        """Agreement and, where there are logits, their largest error."""
        result: dict[str, Any] = {"argmax_agreement": round(self.equal / max(1, self.pixels), 6)}
        if io == "tensor":
            result["max_logit_error"] = float(f"{self.error:.4g}") if self.finite else None
        return result


def reference_of(runtime: Runtime, cases: list[Prepared], contract: Contract) -> Reference:
    """Run the checkpoint over the cases."""
    logits: list[NDArray[np.float32]] = []

    def segment(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        logits.extend(np.asarray(runtime(normalise(piece, contract)), np.float32) for piece in pixels)
        return np.stack([mask_of(one)[0] for one in logits[-len(pixels) :]])

    return Reference(cases, logits, score(segment, cases, contract))


def measure(
    runtime: Runtime,
    reference: Reference,
    golden: list[Golden],
    contract: Contract,
    *,
    io: str,
    precision: str,
    max_drop: float,
) -> dict[str, Any]:
    """Everything the report says of an artefact's accuracy, and the verdict.

    Returns:
        dice, dice_change (artefact minus checkpoint: negative is worse) with its interval, empty_masks, agreement,
        golden, verdict, reasons.
    """
    tally = Tally(reference.logits)
    segment: Segment = lambda pixels: np.stack(  # noqa: E731 - a closure with one expression
        [tally.add(runtime(feed(piece, contract, io)), io) for piece in pixels]
    )
    scores = score(segment, reference.cases, contract)
    on_golden = Tally([one.logits for one in golden])
    for one in golden:
        on_golden.add(runtime(feed(one.pixels, contract, io)), io)
    change = scores.per_class - reference.scores.per_class
    interval = change_interval(scores.dice, reference.scores.dice)
    reasons = verdict(scores, change, reference.scores, max_drop)
    if not tally.finite:
        reasons.append("logits hold NaN or infinite values")
    facts = tally.to_dict(io)
    if precision == "fp32" and facts["argmax_agreement"] < FP32_AGREEMENT:
        reasons.append(f"fp32 argmax agreement {facts['argmax_agreement']:.6f} < {FP32_AGREEMENT}")
    if precision == "fp32" and tally.error > FP32_LOGIT_ERROR:
        reasons.append(f"fp32 logit error {tally.error:.2g} > {FP32_LOGIT_ERROR}")
    dice, before = scores.to_dict(), reference.scores.to_dict()
    return {
        "dice": {"mean": dice["mean_dice"], **dice["dice"]},
        "checkpoint_dice": {"mean": before["mean_dice"], **before["dice"]},
        "dice_change": {
            "mean": round(scores.mean - reference.scores.mean, 6),
            **{k: None if np.isnan(v) else round(float(v), 6) for k, v in zip(scores.classes, change, strict=True)},
        },
        "dice_change_ci95": {
            name: None if np.isnan(low) else [round(float(low), 6), round(float(high), 6)]
            for name, (low, high) in zip(["mean", *scores.classes], interval.T, strict=True)
        },
        "empty_masks": {"artefact": scores.empty, "checkpoint": reference.scores.empty},
        **facts,
        "golden": on_golden.to_dict(io),
        "verdict": "rejected" if reasons else "passed",
        "reasons": reasons,
    }


def change_interval(after: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """95 % bootstrap interval of the Dice change, resampling cases (Efron's percentile method, 2,000 draws, seeded).

    Args:
        after, before: (N, K-1) Dice per case and class, NaN where the truth has no such class.
    Returns:
        (2, K): low and high of the mean (first column) and of every class; NaN where a class never occurs.
    """
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(after), (2000, len(after)))
    change = mean_skipping_nan(after[draws], axis=1) - mean_skipping_nan(before[draws], axis=1)
    table = np.column_stack([mean_skipping_nan(change, axis=1), change])
    known = np.where(np.isnan(table).all(axis=0), 0.0, table)
    interval = np.nanpercentile(known, [2.5, 97.5], axis=0)
    return np.where(np.isnan(table).all(axis=0), np.nan, interval)


def verdict(scores: Scores, change: NDArray[np.float64], before: Scores, max_drop: float) -> list[str]:
    """Why the artefact is refused; empty if it passes. The tolerance holds for the mean and for every class."""
    reasons = []
    drop = before.mean - scores.mean
    if drop > max_drop:
        reasons.append(f"mean Dice {before.mean:.4f} -> {scores.mean:.4f}, a drop of {drop:.4f} > {max_drop}")
    for k, name in enumerate(scores.classes):
        if change[k] < -max_drop:
            per_case = scores.dice[:, k] - before.dice[:, k]
            worst = int(np.nanargmin(per_case))
            reasons.append(
                f"class {name} {before.per_class[k]:.4f} -> {scores.per_class[k]:.4f}, a drop of {-change[k]:.4f} > "
                f"{max_drop}, worst in case {scores.cases[worst]} ({per_case[worst]:+.4f})"
            )
    return reasons
