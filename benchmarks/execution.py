"""Every row is executed: its Dice on the split where the gate has not measured it, its parity, what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tqdm import tqdm

from acwskd_edge import runtimes
from acwskd_edge.bundle import Golden
from acwskd_edge.data import DataSet
from acwskd_edge.errors import MissingDependency
from acwskd_edge.evaluate import Prepared, prepare, score, segment_with
from acwskd_edge.runtimes import Runtime
from benchmarks.coverage import coverage_of
from benchmarks.parity import MIDDLE, Outputs, ladder, outputs_of
from benchmarks.rows import PASSED, REJECTED, WORSE, Row
from benchmarks.store import Store
from benchmarks.subjects import Subject
from benchmarks.timing import told
from convert.gate import Reference, Tally, reference_of, verdict
from train.state import WEIGHTS

KEPT = ("dice", "per_case", "agreement", "ladder", "coverage", "computes_in", "verdict", "reasons")
DEFAULT_DROP = 0.01  # tolerance for a run that was never converted, convert's own default


@dataclass
class Cases:
    """What rows are scored on."""

    ids: list[str]
    data: DataSet | None  # None: not at hand, then only the gate's figures are known
    gate: bool  # whether these are the cases of the gate


class Bench:
    """One subject's cases and reference, made when the first row needs them."""

    def __init__(self, subject: Subject, rows: list[Row], cases: Cases, threads: int) -> None:
        self.subject, self.cases, self.threads = subject, cases, threads
        self.rows = [row for row in rows if row.subject is subject]
        self.golden: list[Golden] = subject.bundle.golden() if subject.bundle else []

    @cached_property
    def prepared(self) -> list[Prepared]:
        """The cases on the network's grid."""
        assert self.cases.data is not None
        return prepare(self.cases.data, self.cases.ids, self.subject.contract)

    @cached_property
    def reference(self) -> Reference | None:
        """The checkpoint on the cases; None for a bare bundle, which has none."""
        if self.subject.run is None:
            return None
        checkpoint = runtimes.load("torch", self.subject.run / WEIGHTS, self.threads)
        return reference_of(checkpoint, self.prepared, self.subject.contract)

    @cached_property
    def middle(self) -> Outputs | None:
        """What the ONNX fp32 artefact makes of the golden slices; None where there is none that runs."""
        found = [row for row in self.rows if row.own and row.artefact == MIDDLE and row.path and not row.failed]
        try:
            return outputs_of(found[0].load(self.threads), self.golden, self.subject.contract, "tensor")
        except (IndexError, MissingDependency):
            return None

    def wants_dice(self, row: Row) -> bool:
        """Whether this row's Dice must be measured here."""
        return self.cases.data is not None and not (self.cases.gate and row.own)

    def execute(self, row: Row) -> None:
        """Fill in a row; its artefact is loaded once."""
        assert row.path is not None
        runtime = row.load(self.threads)
        row.computes_in = getattr(runtime, "computes_in", None)
        row.coverage = coverage_of(row.runtime, row.path, runtime)
        if self.golden:
            own = outputs_of(runtime, self.golden, self.subject.contract, row.io)
            row.ladder = ladder(self.golden, None if row.family == "torch" else self.middle, own)
        if self.wants_dice(row):
            self.judge(row, runtime)

    def judge(self, row: Row, runtime: Runtime) -> None:
        """Dice on the cases, agreement with the checkpoint and, in a further runtime, whether the gate would pass."""
        contract, reference = self.subject.contract, self.reference
        if reference is None:
            scores = score(segment_with(runtime, contract, row.io), self.prepared, contract)
        else:
            tally = Tally(reference.logits)
            watching = lambda batch: seen(tally, runtime(batch), row.io)  # noqa: E731 - a closure with one expression
            scores = score(segment_with(watching, contract, row.io), self.prepared, contract)
            row.agreement = tally.to_dict(row.io)
        summary = scores.to_dict()
        row.dice, row.dice_from = {"mean": summary["mean_dice"], **summary["dice"]}, "here"
        row.per_case = summary["cases"]
        if not row.own and reference is not None:
            drop = self.subject.bundle.report["gate"]["max_dice_drop"] if self.subject.bundle else DEFAULT_DROP
            row.reasons = verdict(scores, scores.per_class - reference.scores.per_class, reference.scores, drop)
            row.verdict = WORSE if row.reasons else PASSED


def seen(tally: Tally, output: Any, io: str) -> Any:
    """Pass an output on, compared."""
    tally.add(output, io)
    return output


def execute_rows(rows: list[Row], cases: Cases, threads: int, store: Store, setting: str) -> None:
    """Execute every row of this machine; what the store holds is not executed again, an error stays with its row.

    Args:
        setting: of versions and data; under another one it is executed anew.
    """
    benches: dict[str, Bench] = {}
    for row in tqdm(rows, f"executing {len(rows)} rows", disable=None):
        if not cases.gate and row.verdict != REJECTED:
            row.dice = row.agreement = None
        if row.path is None or row.failed:
            row.dice = row.dice if cases.gate else None
            continue
        name = row.subject.name
        bench = benches.get(name) or benches.setdefault(name, Bench(row.subject, rows, cases, threads))
        key = row.key(threads, setting, cases.ids, bench.wants_dice(row))
        if found := store.get("executed", key):
            for field in KEPT:
                setattr(row, field, found[field])
            row.dice_from = "here" if bench.wants_dice(row) else row.dice_from
            continue
        try:
            bench.execute(row)
        except MissingDependency as error:
            row.not_timed = row.not_timed or f"not installed here: {error.hint}"
        except Exception as error:  # what a damaged file or a foreign library raises
            row.failed = told(error)
        else:
            store.put("executed", key, {field: getattr(row, field) for field in KEPT})


def per_case_of(subject: Subject, rows: list[Row], gate: bool) -> dict[str, dict[str, float | None]]:
    """Dice of a subject's first row, case by case: of the gate's cases the checkpoint's, otherwise as measured."""
    if gate:
        return {case: subject.validation["cases"][case] for case in subject.cases}
    return next((row.per_case for row in rows if row.subject is subject and row.per_case), {})
