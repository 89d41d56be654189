"""The rows of the table: each checkpoint, each artefact that passed the gate, each one that did not."""

from __future__ import annotations

import importlib
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acwskd_edge import runtimes
from acwskd_edge.bundle import Artefact
from acwskd_edge.contract import Contract
from acwskd_edge.errors import MissingDependency
from benchmarks.store import digest
from benchmarks.subjects import Subject
from train.state import WEIGHTS

LOCAL = "local"
REJECTED, PASSED, REFERENCE, WORSE, OPEN = "rejected", "passed", "reference", "worse", "not judged"
FURTHER = {"torch": ("torch-compile",), "onnxruntime": ("openvino", "openvino-default")}
"""Runtimes that execute the files of another one."""
FP32_ONLY = ("openvino-default",)  # its own choice of float type shows on a float32 graph


@dataclass
class Row:
    """One line of the table."""

    subject: Subject
    artefact: str  # checkpoint, or the artefact's id in its bundle
    runtime: str
    precision: str  # of the artefact
    io: str
    path: Path | None  # None: not in the bundle (rejected), or not on this machine
    bytes: int
    verdict: str  # reference (a checkpoint), passed, rejected, worse (in a further runtime), not judged
    reasons: list[str] = field(default_factory=list)  # of rejected and worse
    own: bool = True  # False: an artefact in a further runtime
    device: str = LOCAL  # local, browser, ssh:user@host, adb:serial
    dice: dict[str, float | None] | None = None  # mean and every class; None: not measured on this split
    dice_from: str | None = None  # gate (when it was converted) or here
    per_case: dict[str, dict[str, float | None]] | None = None  # Dice, where it was measured here
    agreement: dict[str, Any] | None = None  # with the checkpoint on these cases: argmax_agreement, max_logit_error
    ladder: dict[str, Any] | None = None  # see benchmarks.parity
    coverage: dict[str, Any] | None = None  # see benchmarks.coverage
    computes_in: str | None = None  # the float type, where the runtime tells
    fresh: dict[str, Any] | None = None  # see benchmarks.fresh.measure
    latency: dict[str, Any] | None = None  # of the network, see Timings.to_dict
    speedup: dict[str, Any] = field(default_factory=dict)  # see benchmarks.timing.ratios
    end_to_end: dict[str, Any] | None = None  # latency and speedup from raw pixels to mask
    not_timed: str = ""  # why there is no latency
    failed: str = ""  # what went wrong; the next run tries again

    @property
    def id(self) -> str:
        """For instance `student/tflite-int8`, or `student/onnx-int8@openvino`."""
        elsewhere = "" if self.own else f"@{self.runtime}"
        return f"{self.subject.name}/{self.artefact}{elsewhere}" + ("" if self.device == LOCAL else f" {self.device}")

    @property
    def entry(self) -> runtimes.RuntimeEntry:
        """Where its runtime lives."""
        return runtimes.RUNTIMES[self.runtime]

    @property
    def family(self) -> str:
        """One runtime with all its ways to run: a row is compared with the baseline's of its family."""
        return self.runtime.partition("-")[0]

    def key(self, *facts: Any) -> str:
        """Of what is executed, and whatever else decides a measurement."""
        return digest(self.subject.hashes(), self.subject.contract.to_json(), self.artefact, self.runtime, facts)

    def load(self, threads: int) -> runtimes.Runtime:
        """The artefact in its runtime.

        Raises:
            MissingDependency: the runtime is not installed here.
            UsageError: a file it cannot read.
        """
        assert self.path is not None
        return runtimes.load(self.runtime, self.path, threads)


def rows_of(subject: Subject) -> list[Row]:
    """The checkpoint first, then the artefacts in the order of report.json, each followed by its further runtimes."""
    rows = []
    entries = subject.entries
    if subject.run:
        validation = subject.validation
        weights = subject.run / WEIGHTS
        row = Row(subject, "checkpoint", "torch", "fp32", "tensor", weights, weights.stat().st_size, REFERENCE)
        row.dice = entries[0]["checkpoint_dice"] if entries else {"mean": validation["mean_dice"], **validation["dice"]}
        row.dice_from = "gate"
        rows += [row, *further(row)]
    for entry in entries:
        assert subject.bundle is not None
        passed: dict[str, Artefact] = {one.id: one for one in subject.bundle.artefacts}
        place = subject.bundle.path(passed[entry["id"]]) if entry["id"] in passed else None
        what, runtime, precision, io = (str(entry[key]) for key in ("id", "runtime", "precision", "io"))
        row = Row(subject, what, runtime, precision, io, place, entry["bytes"], PASSED if place else REJECTED)
        row.dice, row.dice_from, row.reasons = entry["dice"], "gate", entry["reasons"]
        row.agreement = {key: entry.get(key) for key in ("argmax_agreement", "max_logit_error")}
        rows += [row, *further(row)]
    return rows


def further(row: Row) -> list[Row]:
    """The same file in every other runtime that reads it."""
    if row.path is None:
        return []
    names = [one for one in FURTHER.get(row.runtime, ()) if row.precision == "fp32" or one not in FP32_ONLY]
    return [
        Row(row.subject, row.artefact, name, row.precision, row.io, row.path, row.bytes, OPEN, own=False)
        for name in names
    ]


def obstacle(row: Row) -> str:
    """Why a row is not to be timed here; empty if it is."""
    if row.path is None:
        return REJECTED if row.verdict == REJECTED else f"not on {platform.system()}"
    if not row.entry.timed:
        return f"not on {platform.system()}"
    try:
        importlib.import_module(row.entry.module)
    except (ImportError, MissingDependency):
        return f"not installed here: {row.entry.install}"
    return ""


def to_dict(row: Row) -> dict[str, Any]:
    """A row of report.json."""
    return {
        "id": row.id,
        "model": row.subject.name,
        "role": row.subject.role,
        "artefact": row.artefact,
        "device": row.device,
        "runtime": row.runtime,
        "precision": row.precision,
        "computes_in": row.computes_in,
        "io": row.io,
        "bytes": row.bytes,
        "latency": row.latency,
        "not_timed": row.not_timed or None,
        "speedup": {"same_precision": None, "fp32": None, **row.speedup},
        "end_to_end": row.end_to_end,
        "fresh": row.fresh,
        "dice": row.dice,
        "dice_from": row.dice_from if row.dice else None,
        "agreement": row.agreement,
        "ladder": row.ladder,
        "coverage": row.coverage,
        "verdict": row.verdict,
        "reasons": row.reasons,
        "failed": row.failed or None,
    }


def grid_of(contract: Contract) -> str:
    """For instance `1x128x128`: channels, height, width."""
    return f"{contract.channels}x{contract.height}x{contract.width}"
