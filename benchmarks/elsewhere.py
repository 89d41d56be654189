"""Rows that were timed on another machine: a browser, a phone, a Jetson. They stand beside the local ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from acwskd_edge.bench.latency import Timings, WarmUp
from benchmarks.rows import OPEN, Row, rows_of
from benchmarks.subjects import Subject


def row_elsewhere(
    subject: Subject, artefact: str, device: str, runtime: str, milliseconds: list[float], **facts: Any
) -> Row:
    """An artefact of a subject as another machine ran it.

    Args:
        artefact: its id in the subject's bundle.
        device: for instance `browser` or `ssh:user@host`.
        runtime: its name there; it need not be one of RUNTIMES.
        facts: any other fields of `Row` that were measured there (dice, fresh, agreement ...). Dice is never taken
            over from this machine: where the device measured none, the row has none.
    Raises:
        KeyError: the subject has no such artefact.
    """
    ours = {row.artefact: row for row in rows_of(subject) if row.own and row.artefact != "checkpoint"}[artefact]
    row = replace(ours, device=device, runtime=runtime, path=None, verdict=OPEN, reasons=[], own=False)
    row.dice = row.dice_from = row.agreement = None
    row.latency = summary(milliseconds) if milliseconds else None
    for name, value in facts.items():
        setattr(row, name, value)
    return row


def summary(milliseconds: list[float]) -> dict[str, Any]:
    """Timings of another machine, as the report has them; its warm-up is its own business."""
    return Timings.of(milliseconds, WarmUp(0, True)).to_dict()


def set_ratios(rows: list[Row]) -> None:
    """Ratios of medians among rows of one device, runtime and io; without an interval, for rounds were not paired."""
    for row in rows:
        for name, precision in (("same_precision", row.precision), ("fp32", "fp32")):
            others = [
                one
                for one in rows
                if one.subject.role == "baseline"
                and one is not row
                and (one.device, one.runtime, one.io, one.precision) == (row.device, row.runtime, row.io, precision)
            ]
            if others and row.latency and others[0].latency:
                ratio = others[0].latency["median_ms"] / row.latency["median_ms"]
                row.speedup[name] = {"against": others[0].id, "ratio": round(ratio, 4), "ci95": None}
