"""Dice of every row on one split: what the gate measured, or, on another split, measured here."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from acwskd_edge.data import Split, cases_in
from acwskd_edge.errors import MissingDependency
from acwskd_edge.evaluate import Prepared, Scores, prepare, score, segment_with
from benchmarks.rows import Row
from benchmarks.subjects import Subject

GATE_SPLIT: Split = "val"

PerCase = dict[str, dict[str, float | None]]
"""Case id -> class name -> Dice."""


def gated(subjects: list[Subject]) -> tuple[list[str], dict[str, PerCase]]:
    """Cases of the gate, and each subject's checkpoint on them, case by case."""
    cases = subjects[0].cases
    return cases, {one.name: {case: one.validation["cases"][case] for case in cases} for one in subjects}


def measure_split(
    subjects: list[Subject], rows: list[Row], split: Split, where: str | None, threads: int
) -> tuple[list[str], dict[str, PerCase]]:
    """Replace the gate's Dice of every row by that on another split.

    A rejected artefact is not in its bundle, so it has no Dice here. Returns as `gated`; a bare bundle, which holds
    no checkpoint, is represented by its first artefact.
    """
    per_case: dict[str, PerCase] = {}
    cases: list[str] = []
    for subject in subjects:
        data = subject.data(where)
        cases = cases_in(data, split)
        prepared = prepare(data, cases, subject.contract)
        own = [row for row in rows if row.subject is subject]
        for row in tqdm(own, f"{subject.name}: {len(prepared)} {split} cases", disable=None):
            scores = scores_of(row, prepared, threads)
            row.dice = None
            if scores:
                summary: dict[str, Any] = scores.to_dict()
                row.dice = {"mean": summary["mean_dice"], **summary["dice"]}
                per_case.setdefault(subject.name, summary["cases"])
    return cases, per_case


def scores_of(row: Row, prepared: list[Prepared], threads: int) -> Scores | None:
    """A row's Dice; None if it was rejected or its runtime is not installed."""
    if row.path is None:
        return None
    try:
        runtime = row.load(threads)
    except MissingDependency:
        return None
    return score(segment_with(runtime, row.subject.contract, row.io), prepared, row.subject.contract)
