"""A sweep's table: every method over its seeds, with a paired test against the reference, as Markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import mean, median, stdev

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.metrics import bootstrap_interval, mean_skipping_nan
from benchmarks.collect import Row, classes_of, markdown, numbers
from benchmarks.grid import Grid
from benchmarks.markup import document, number, scroll, table
from benchmarks.table import count, ratio_text


@dataclass(frozen=True)
class Table:
    """Texts of a table, one line a method."""

    title: str
    caption: str
    head: list[str]
    lines: list[list[str]]

    def markdown(self) -> str:
        """Heading, table and caption."""
        return f"### {self.title}\n\n{markdown(self.head, self.lines)}\n\n{self.caption}\n"

    def html(self) -> str:
        """A page that needs nothing but itself."""
        lines = [
            f'<tr><th scope="row">{escape(one[0])}</th><td>{escape(one[1])}</td>{"".join(map(number, one[2:]))}</tr>'
            for one in self.lines
        ]
        shown = scroll(table(self.title, self.head, lines, range(2, len(self.head))), self.title)
        body = f'<h1>{escape(self.title)}</h1>\n{shown}\n<p class="meta">{escape(self.caption)}</p>'
        return document(self.title, body)


@dataclass(frozen=True)
class PerCase:
    """Dice of one method, averaged over its seeds."""

    patients: list[str]  # of the cases
    dice: NDArray[np.float64]  # (N, K-1), NaN where undefined


def compare(grid: Grid, rows: Sequence[Row], cases: Sequence[Row]) -> Table:
    """The table of a results file and its per-case file; methods that have no row yet are left out.

    Args:
        rows, cases: of one split, as `benchmarks.collect` reads them.
    """
    names = [one.name for one in grid.methods if any(row["method"] == one.name for row in rows)]
    by_method = {name: [row for row in rows if row["method"] == name] for name in names}
    reference = grid.reference or grid.methods[0].name
    plain = by_method.get(grid.plain or reference, [])
    classes = classes_of(rows)
    hardest = hardest_of(plain, classes)
    gains = [f"gain on {hardest}"] if hardest else []
    schedules = ["steps"] if len({row["steps"] for row in rows}) > 1 else []
    head = ["method", "model", *schedules, "seeds", "mean Dice", "gain", *gains, f"- {reference}", "95 % CI", "p"]
    head += [f"HD95 {rows[0]['hd95_unit']}", "step", "peak MB", "MACs", *classes]
    lines = []
    for name, own in by_method.items():
        line = [name, own[0]["model"], *(own[0]["steps"] for _ in schedules), str(len(own))]
        line += [spread(numbers(own, "dice"), 4), gain(own, plain, "dice")]
        line += [gain(own, plain, f"dice_{hardest}") for _ in gains]
        line += paired(cases, name, reference, classes)
        alike = devices_of(own) == devices_of(plain)
        step = ratio(own, plain, "step_ms") if alike else "-"
        line += [spread(numbers(own, "hd95"), 2), step, middle(own, "peak_mb")]
        line += [count(int(found[0])) if (found := numbers(own, "macs")) else "-"]
        lines.append([*line, *(spread(numbers(own, f"dice_{one}"), 3) for one in classes)])
    return Table(
        grid.title or grid.name, caption(rows, cases, reference, grid.plain or reference, hardest), head, lines
    )


def caption(rows: Sequence[Row], cases: Sequence[Row], reference: str, plain: str, hardest: str) -> str:
    """What every figure of the table is."""
    first = rows[0]
    seeds = ", ".join(map(str, sorted({int(row["seed"]) for row in rows})))
    patients, count_of = len({row["patient"] for row in cases}), len({row["case"] for row in cases})
    split = {"val": "validation", "test": "test"}[first["split"]]
    steps = ", ".join(map(str, sorted({int(row["steps"]) for row in rows})))
    devices = devices_of(rows)
    where = f", trained on {' or '.join(sorted(devices))}" if devices - {"cpu"} else ""
    return (
        f"{first['dataset']}, {split} split: {count_of} cases of {patients} patients; {first['size']} pixels, "
        f"{steps} steps, seeds {seeds}{where}. Rule for a class that a case lacks: {first['rule']}. "
        "Dice over whole cases: per class the mean over cases, then over classes; ± is the standard deviation over "
        f"seeds. step: median training step relative to {plain}'s on the same device, not timed in turns. "
        f"gain: Dice above {plain}'s"
        + (f"; {hardest} is its hardest class. " if hardest else ". ")
        + f"- {reference}: difference of the mean Dice to {reference}'s, averaged over shared seeds, with its 95 % "
        "bootstrap interval over patients and the p of a two-sided Wilcoxon signed-rank test over patients, not "
        "corrected for the number of rows."
    )


def devices_of(rows: Sequence[Row]) -> set[str]:
    """What the runs were trained on."""
    return {row.get("device") or "cpu" for row in rows}


def spread(values: Sequence[float], digits: int) -> str:
    """Mean ± sample standard deviation; the mean alone of one value."""
    if not values:
        return "-"
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def middle(rows: Sequence[Row], name: str) -> str:
    """Median of a column."""
    return f"{median(found):.0f}" if (found := numbers(rows, name)) else "-"


def ratio(rows: Sequence[Row], base: Sequence[Row], name: str) -> str:
    """Ratio of the medians of a column."""
    ours, theirs = numbers(rows, name), numbers(base, name)
    return f"{ratio_text(median(ours) / median(theirs))}x" if ours and theirs else "-"


def gain(rows: Sequence[Row], base: Sequence[Row], name: str) -> str:
    """Difference of the means of a column, with its sign."""
    ours, theirs = numbers(rows, name), numbers(base, name)
    return f"{mean(ours) - mean(theirs):+.4f}" if ours and theirs and rows is not base else "-"


def hardest_of(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """The class of lowest Dice; empty without rows."""
    means = {name: mean(found) for name in classes if (found := numbers(rows, f"dice_{name}"))}
    return min(means, key=lambda name: means[name], default="")


def paired(cases: Sequence[Row], name: str, reference: str, classes: Sequence[str]) -> list[str]:
    """Difference to the reference's mean Dice, its interval and p; dashes where nothing can be paired."""
    from scipy.stats import wilcoxon

    ours, theirs = ({row["seed"] for row in cases if row["method"] == one} for one in (name, reference))
    if name == reference or not ours & theirs:
        return ["-", "-", "-"]
    one, other = (per_case(cases, method, ours & theirs, classes) for method in (name, reference))
    gap = one.dice - other.dice
    low, high = bootstrap_interval(gap, one.patients)
    owner = np.asarray(one.patients)
    by_patient = np.array([mean_skipping_nan(gap[owner == patient]) for patient in np.unique(owner)])
    by_patient = by_patient[~np.isnan(by_patient)]
    p = wilcoxon(by_patient).pvalue if by_patient.any() else 1.0
    difference = mean_skipping_nan(mean_skipping_nan(gap, axis=0))
    return [f"{difference:+.4f}", f"{low:+.4f} to {high:+.4f}", f"{p:.3f}" if p >= 0.001 else "< .001"]


def per_case(cases: Sequence[Row], method: str, seeds: set[str], classes: Sequence[str]) -> PerCase:
    """Dice of a method per case and class, averaged over seeds; cases in alphabetical order."""
    own = [row for row in cases if row["method"] == method and row["seed"] in seeds]
    patients = {row["case"]: row["patient"] for row in sorted(own, key=lambda row: row["case"])}
    values = [
        [[float(row[f"dice_{name}"] or "nan") for name in classes] for row in own if row["case"] == case]
        for case in patients
    ]
    return PerCase(list(patients.values()), mean_skipping_nan(np.array(values), axis=1))
