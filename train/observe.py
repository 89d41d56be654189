"""What a run tells while it trains and afterwards: metrics.jsonl, metrics.csv, TensorBoard events, alarms, its cost."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from statistics import median
from typing import Any

from tensorboardX import SummaryWriter

from acwskd_edge.files import write_atomic, write_json
from train.plots import draw_curves

Record = dict[str, Any]
"""One logged step, either of training (`loss`, its terms, `lr`, `seconds` ...) or of validation (`val_dice` ...)."""

EARLY = 5  # training records that say how large a healthy feature is
COLLAPSED = 0.05  # share of that below which a feature has collapsed
WATCHED = ("health/norm", "health/spread")  # beginnings of the terms that are watched


class Observer:
    """The log of one run folder. Every file is made from the history alone, so that a resumed run repeats no step.

    Args:
        history: the records so far; grows through `record`.
    """

    def __init__(self, out: Path, history: list[Record]) -> None:
        self.out, self.history = out, history
        self.early: dict[str, list[float]] = {}
        self.alarmed: set[str] = set()
        shutil.rmtree(out / "tb", ignore_errors=True)
        self.events = SummaryWriter(str(out / "tb"))
        for one in history:
            self._show(one)
            self._collapses(one)

    def record(self, record: Record) -> list[str]:
        """Log one record; returns warnings to print."""
        self.history.append(record)
        self._show(record)
        return self._collapses(record)

    def _show(self, record: Record) -> None:
        for name, value in record.items():
            if name != "step" and value is not None:
                self.events.add_scalar(name if "/" in name else f"train/{name}", value, record["step"])

    def _collapses(self, record: Record) -> list[str]:
        """A warning for every watched term that has fallen for the first time below a share of its early median."""
        warnings = []
        for name in (key for key in record if key.startswith(WATCHED)):
            early = self.early.setdefault(name, [])
            if len(early) < EARLY:
                early.append(record[name])
            elif name not in self.alarmed and record[name] < COLLAPSED * median(early):
                self.alarmed.add(name)
                warnings.append(
                    f"warning: step {record['step']}: {name} is {record[name]:.3g}, at first {median(early):.3g}: "
                    "the feature collapses; next: lower lr or the objective's distillation weights"
                )
        return warnings

    def save(self) -> None:
        """Write metrics.jsonl (a line per record) and metrics.csv (a row per step); show the events."""
        write_atomic(self.out / "metrics.jsonl", "".join(json.dumps(one) + "\n" for one in self.history))
        rows: dict[int, Record] = {}
        for one in self.history:
            rows.setdefault(one["step"], {}).update(one)
        text = io.StringIO()
        columns = dict.fromkeys(name for one in self.history for name in one)
        table = csv.DictWriter(text, list(columns), lineterminator="\n")
        table.writeheader()
        table.writerows(rows.values())
        write_atomic(self.out / "metrics.csv", text.getvalue())
        self.events.flush()

    def close(self) -> None:
        """Draw curves.png and write cost.json."""
        self.events.close()
        draw_curves(self.history, self.out / "curves.png")
        trained = [one for one in self.history if "seconds" in one]
        cost = {
            "step_ms": round(1000 * median(one["seconds"] for one in trained), 3),  # batch, forward, backward, update
            "peak_mb": max((one["peak_mb"] for one in trained if "peak_mb" in one), default=None),
        }
        write_json(self.out / "cost.json", cost)
