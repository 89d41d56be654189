"""The rows of the table: each checkpoint, each artefact that passed the gate, each one that did not."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge import runtimes
from acwskd_edge.bench.latency import Timings, interleave, speedup
from acwskd_edge.bundle import Artefact
from acwskd_edge.contract import Contract
from acwskd_edge.errors import MissingDependency
from acwskd_edge.evaluate import feed
from acwskd_edge.preprocess import mask_of, normalise, to_grid, to_image
from benchmarks.subjects import Subject
from train.state import WEIGHTS

REJECTED = "rejected"
SURROUND_RUNS = 20  # timed runs of what happens before and after the network


@dataclass
class Row:
    """One line of the table."""

    subject: Subject
    artefact: str  # checkpoint, or the artefact's id in its bundle
    runtime: str
    precision: str
    io: str
    path: Path | None  # None: rejected, so it is not in the bundle
    bytes: int
    dice: dict[str, float | None] | None  # mean and every class; None: not measured on this split
    verdict: str  # reference (a checkpoint), passed or rejected
    reasons: list[str] = field(default_factory=list)
    timings: Timings | None = None
    not_timed: str = ""  # why there is no latency

    @property
    def id(self) -> str:
        """For instance `student/tflite-int8`."""
        return f"{self.subject.name}/{self.artefact}"

    def load(self, threads: int) -> runtimes.Runtime:
        """The artefact in its runtime.

        Raises:
            MissingDependency: the runtime is not installed here.
        """
        assert self.path is not None
        return runtimes.load(self.runtime, self.path, threads)


def rows_of(subject: Subject) -> list[Row]:
    """The checkpoint first, then the artefacts in the order of report.json, with the Dice that the gate measured."""
    rows = []
    entries = subject.entries
    if subject.run:
        validation = subject.validation
        whole = {"mean": validation["mean_dice"], **validation["dice"]}
        weights = subject.run / WEIGHTS
        dice = entries[0]["checkpoint_dice"] if entries else whole
        rows.append(
            Row(subject, "checkpoint", "torch", "fp32", "tensor", weights, weights.stat().st_size, dice, "reference")
        )
    for entry in entries:
        assert subject.bundle is not None
        passed: dict[str, Artefact] = {one.id: one for one in subject.bundle.artefacts}
        place = subject.bundle.path(passed[entry["id"]]) if entry["id"] in passed else None
        verdict = "passed" if place else REJECTED
        what, runtime, precision, io = (str(entry[key]) for key in ("id", "runtime", "precision", "io"))
        row = Row(subject, what, runtime, precision, io, place, entry["bytes"], entry["dice"], verdict)
        row.reasons = entry["reasons"]
        rows.append(row)
    return rows


def sample_pixels(subject: Subject) -> NDArray[np.generic]:
    """(h, w, C) pixels to time with: a golden slice, or seeded noise where there is no bundle."""
    if subject.bundle and (golden := subject.bundle.golden()):
        return golden[0].pixels
    contract = subject.contract
    low, high = int(contract.intensity.low), int(contract.intensity.high)
    shape = (contract.height, contract.width, contract.channels)
    return np.random.default_rng(0).integers(low, high, shape, endpoint=True).astype(contract.pixel)


def time_rows(rows: list[Row], runs: int, threads: int) -> None:
    """Time every row that can be timed here, all in alternation; the others say why not."""
    calls: dict[str, Callable[[], object]] = {}
    for row in rows:
        row.not_timed = obstacle(row)
        if row.not_timed:
            continue
        try:
            runtime = row.load(threads)
        except MissingDependency as error:
            row.not_timed = f"not installed here: {error.hint}"
            continue
        calls[row.id] = forward(runtime, feed(sample_pixels(row.subject), row.subject.contract, row.io))
    timed = interleave(calls, runs)
    for row in rows:
        row.timings = timed.get(row.id)


def obstacle(row: Row) -> str:
    """Why a row is not to be timed; empty if it is."""
    if row.path is None:
        return REJECTED
    if not runtimes.RUNTIMES[row.runtime].timed:
        return f"not on {platform.system()}"
    return ""


def forward(runtime: runtimes.Runtime, batch: NDArray[np.generic]) -> Callable[[], object]:
    """One forward pass as a function without arguments."""
    return lambda: runtime(batch)


def to_dicts(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows of report.json, with their speed ratios to the baseline."""
    return [
        {
            "id": row.id,
            "model": row.subject.name,
            "role": row.subject.role,
            "artefact": row.artefact,
            "runtime": row.runtime,
            "precision": row.precision,
            "io": row.io,
            "bytes": row.bytes,
            "latency": row.timings.to_dict() if row.timings else None,
            "not_timed": row.not_timed or None,
            "speedup": ratios(row, rows),
            "dice": row.dice,
            "verdict": row.verdict,
            "reasons": row.reasons,
        }
        for row in rows
    ]


def ratios(row: Row, rows: list[Row]) -> dict[str, Any]:
    """Times faster than the baseline in the same runtime and io: at the same precision, and at fp32.

    Null where the baseline has no such artefact, and on the baseline's own row.
    """
    found: dict[str, Any] = {}
    for name, precision in (("same_precision", row.precision), ("fp32", "fp32")):
        others = [
            one
            for one in rows
            if one.subject.role == "baseline"
            and (one.runtime, one.io, one.precision) == (row.runtime, row.io, precision)
            and one.timings
            and one is not row
        ]
        found[name] = (
            {"against": others[0].id, **speedup(row.timings, _of(others[0]))} if row.timings and others else None
        )
    return found


def _of(row: Row) -> Timings:
    assert row.timings is not None
    return row.timings


def surroundings(subject: Subject) -> dict[str, float] | None:
    """Median milliseconds before and after the network, in this library's numpy; None without a golden slice.

    Returns:
        before: image -> grid -> network input; after: logits -> mask -> the image's grid.
    """
    golden = subject.bundle.golden() if subject.bundle else []
    if not golden:
        return None
    one, contract = golden[0], subject.contract
    timed = interleave(
        {
            "before": lambda: normalise(to_grid(one.image, contract), contract),
            "after": lambda: to_image(mask_of(one.logits)[0], contract, one.image.shape[0], one.image.shape[1]),
        },
        SURROUND_RUNS,
    )
    return {name: round(median(timings.milliseconds), 4) for name, timings in timed.items()}


def grid_of(contract: Contract) -> str:
    """For instance `1x128x128`: channels, height, width."""
    return f"{contract.channels}x{contract.height}x{contract.width}"
