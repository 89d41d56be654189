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
NEXT = {  # precision -> what to try when it is refused
    "fp32": "another --target: this one changes what the network computes",
    "fp16": "--precision fp32",
    "int8": "--precision auto, which keeps the layers that lose most in float",
}
NEXT_ELSE = "--precision fp16"


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

    return Reference(cases, logits, score(segment, cases, contract, with_hd95=True))


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
        dice, dice_change (artefact minus checkpoint: negative is worse) with its interval, the case with the worst
        drop, hd95 (mm, or pixels where the data has no spacing) and its change (positive is worse), empty_masks,
        agreement, golden, verdict, reasons, and for a refused artefact what to try next.
    """
    tally = Tally(reference.logits)
    segment: Segment = lambda pixels: np.stack(  # noqa: E731 - a closure with one expression
        [tally.add(runtime(feed(piece, contract, io)), io) for piece in pixels]
    )
    scores = score(segment, reference.cases, contract, with_hd95=True)
    on_golden = Tally([one.logits for one in golden])
    for one in golden:
        on_golden.add(runtime(feed(one.pixels, contract, io)), io)
    change = scores.per_class - reference.scores.per_class
    interval = change_interval(scores.dice, reference.scores.dice, scores.patients)
    worst = worst_drop(scores, reference.scores)
    reasons = verdict(scores, change, reference.scores, max_drop)
    if not tally.finite:
        reasons.append("logits hold NaN or infinite values")
    facts = tally.to_dict(io)
    if precision == "fp32" and facts["argmax_agreement"] < FP32_AGREEMENT:
        reasons.append(f"fp32 argmax agreement {facts['argmax_agreement']:.6f} < {FP32_AGREEMENT}")
    if precision == "fp32" and tally.error > FP32_LOGIT_ERROR:
        reasons.append(f"fp32 logit error {tally.error:.2g} > {FP32_LOGIT_ERROR}")
    assert scores.hd95 is not None
    assert reference.scores.hd95 is not None
    names = scores.classes
    return {
        "dice": with_mean(names, scores.per_class),
        "checkpoint_dice": with_mean(names, reference.scores.per_class),
        "dice_change": {"mean": plain(scores.mean - reference.scores.mean), **named(names, change)},
        "dice_change_ci95": {
            name: None if np.isnan(low) else [round(float(low), 6), round(float(high), 6)]
            for name, (low, high) in zip(["mean", *names], interval.T, strict=True)
        },
        "worst": worst,
        "hd95": with_mean(names, mean_skipping_nan(scores.hd95, axis=0)),
        "hd95_change": with_mean(names, mean_skipping_nan(scores.hd95 - reference.scores.hd95, axis=0)),
        "empty_masks": {"artefact": scores.empty, "checkpoint": reference.scores.empty},
        **facts,
        "golden": on_golden.to_dict(io),
        "verdict": "rejected" if reasons else "passed",
        "reasons": reasons,
        "next": NEXT.get(precision, NEXT_ELSE) if reasons else None,
    }


def plain(value: float | NDArray[np.float64]) -> float | None:
    """For JSON: six decimals, None for NaN."""
    return None if np.isnan(value) else round(float(value), 6)


def named(names: list[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    """(K-1,) values by class name."""
    return {name: plain(value) for name, value in zip(names, values, strict=True)}


def with_mean(names: list[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    """(K-1,) values by class name, their mean first."""
    return {"mean": plain(mean_skipping_nan(values)), **named(names, values)}


def change_interval(
    after: NDArray[np.float64], before: NDArray[np.float64], patients: list[str]
) -> NDArray[np.float64]:
    """95 % bootstrap interval of the Dice change, resampling patients (Efron's percentile method, 2,000 draws, seeded).

    Args:
        after, before: (N, K-1) Dice per case and class, NaN where the truth has no such class.
        patients: of the N cases; cases of a patient are drawn together.
    Returns:
        (2, K): low and high of the mean (first column) and of every class; NaN where a class never occurs, and all NaN
        with fewer than two patients.
    """
    owners = np.unique(patients, return_inverse=True)[1]
    groups = owners == np.arange(owners.max() + 1)[:, None]  # (P, N)
    if len(groups) < 2:
        return np.full((2, after.shape[1] + 1), np.nan)
    rng = np.random.default_rng(0)
    change = after - before
    weights = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=2000) @ groups  # (draws, N)
    known = ~np.isnan(change)
    counts = weights @ known
    per_class = np.where(counts == 0, np.nan, weights @ np.where(known, change, 0.0) / np.maximum(counts, 1))
    table = np.column_stack([mean_skipping_nan(per_class, axis=1), per_class])
    absent = np.isnan(table).all(axis=0)
    interval = np.nanpercentile(np.where(absent, 0.0, table), [2.5, 97.5], axis=0)
    return np.where(absent, np.nan, interval)


def worst_drop(after: Scores, before: Scores) -> dict[str, Any] | None:
    """The class that loses most, and the case in which it does; None where nothing was measured."""
    change = after.per_class - before.per_class
    if np.isnan(change).all():
        return None
    k = int(np.nanargmin(change))
    per_case = after.dice[:, k] - before.dice[:, k]
    case = int(np.nanargmin(per_case))
    return {
        "class": after.classes[k],
        "class_change": plain(change[k]),
        "case": after.cases[case],
        "case_change": plain(per_case[case]),
    }


def verdict(scores: Scores, change: NDArray[np.float64], before: Scores, max_drop: float) -> list[str]:
    """Why the artefact is refused, the worst first; empty if it passes. The tolerance holds for mean and classes."""
    reasons = []
    for k in np.argsort(change):  # NaN, a class that never occurs, comes last
        if change[k] < -max_drop:
            reasons.append(
                f"class {scores.classes[k]} {before.per_class[k]:.4f} -> {scores.per_class[k]:.4f}, a drop of "
                f"{-change[k]:.4f} > {max_drop}, " + worst_case(scores.cases, scores.dice[:, k] - before.dice[:, k])
            )
    if (drop := before.mean - scores.mean) > max_drop:
        per_case = mean_skipping_nan(scores.dice, axis=1) - mean_skipping_nan(before.dice, axis=1)
        reasons.append(
            f"mean Dice {before.mean:.4f} -> {scores.mean:.4f}, a drop of {drop:.4f} > {max_drop}, "
            + worst_case(scores.cases, per_case)
        )
    return reasons


def worst_case(cases: list[str], change: NDArray[np.float64]) -> str:
    """The case that loses most, in words."""
    worst = int(np.nanargmin(change))
    return f"worst in case {cases[worst]} ({change[worst]:+.4f})"
