from __future__ import annotations

import csv
from html import escape
from typing import Any

import numpy as np
import pytest
from scipy.stats import wilcoxon

from acwskd_edge.metrics import bootstrap_interval
from benchmarks.collect import to_csv
from benchmarks.comparison import Table, compare
from benchmarks.grid import Grid, Method

PATIENTS = [f"p{i}" for i in range(6)]
GAP = np.array([0.01, 0.03, 0.02, 0.05, -0.01, 0.04])  # own - plain on the easy class; twice that on the hard one


def results(methods: dict[str, float]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows and cases, as read from CSV: two seeds, six patients of two cases, p5 without the hard class."""
    rows, cases = [], []
    for name, share in methods.items():
        for seed in (0, 1):
            easy = 0.9 + share * GAP + 0.02 * (seed - 0.5)
            hard = 0.6 + 2 * share * GAP
            for i, patient in enumerate(PATIENTS):
                for phase in "ab":
                    one = {"method": name, "seed": seed, "case": patient + phase, "patient": patient}
                    cases.append({**one, "dice_easy": easy[i], "dice_hard": None if i == 5 else hard[i]})
            scores = {"dice_easy": easy.mean(), "dice_hard": hard[:5].mean()}
            facts = {"dataset": "toy", "split": "val", "model": "unet8", "method": name, "seed": seed, "steps": 10}
            facts |= {"size": 32, "rule": "skip-empty", "hd95_unit": "mm", "hd95": 3.0 + seed, "peak_mb": None}
            cost = {"step_ms": 100 * (1 + share), "macs": 1_000_000}
            rows.append({**facts, "dice": sum(scores.values()) / 2, **scores, **cost})
    return [list(csv.DictReader(to_csv(one).splitlines())) for one in (rows, cases)]  # type: ignore[return-value]


GRID = Grid("toy", reference="plain", plain="plain", methods=(Method("plain"), Method("own"), Method("later")))


@pytest.fixture
def table() -> Table:
    return compare(GRID, *results({"plain": 0.0, "own": 1.0}))


def cell(table: Table, method: str, column: str) -> str:
    return next(line for line in table.lines if line[0] == method)[table.head.index(column)]


def test_a_row_is_mean_and_standard_deviation_over_seeds(table: Table) -> None:
    assert [line[0] for line in table.lines] == ["plain", "own"]  # `later` has no run yet
    assert cell(table, "plain", "easy") == "0.900 ± 0.014"
    assert cell(table, "plain", "mean Dice") == "0.7500 ± 0.0071"
    assert cell(table, "plain", "HD95 mm") == "3.50 ± 0.71"
    assert cell(table, "own", "step") == "2.00x"
    assert cell(table, "own", "MACs") == "1 M"
    assert cell(table, "own", "peak MB") == "-"


def test_the_gain_on_the_hardest_class_stands_beside_that_on_the_mean(table: Table) -> None:
    assert cell(table, "own", "gain on hard") == f"{2 * GAP[:5].mean():+.4f}"
    assert cell(table, "own", "gain") == f"{(GAP.mean() + 2 * GAP[:5].mean()) / 2:+.4f}"
    assert cell(table, "plain", "gain") == "-"


def test_the_test_is_paired_over_patients(table: Table) -> None:
    by_patient = GAP * np.array([1.5] * 5 + [1.0])  # mean over the classes the patient has
    assert cell(table, "own", "p") == f"{wilcoxon(by_patient).pvalue:.3f}"
    values = np.stack([GAP, np.where(np.arange(6) == 5, np.nan, 2 * GAP)], axis=1)
    low, high = bootstrap_interval(values, PATIENTS)
    assert cell(table, "own", "95 % CI") == f"{low:+.4f} to {high:+.4f}"
    assert cell(table, "own", "- plain") == cell(table, "own", "gain")
    assert cell(table, "plain", "p") == "-"


def test_the_caption_names_what_trained_and_no_step_is_compared_across_devices(table: Table) -> None:
    assert "trained on" not in table.caption
    rows, cases = results({"plain": 0.0, "own": 1.0})
    for devices, named, comparable in (
        (("NVIDIA T4", "NVIDIA T4"), "NVIDIA T4", True),
        (("cpu", "NVIDIA T4"), "NVIDIA T4 or cpu", False),
    ):
        of = dict(zip(("plain", "own"), devices, strict=True))
        table = compare(GRID, [{**row, "device": of[row["method"]]} for row in rows], cases)
        assert f"seeds 0, 1, trained on {named}." in table.caption
        assert (cell(table, "own", "step") != "-") == comparable


def test_steps_are_a_column_where_they_differ(table: Table) -> None:
    assert "steps" not in table.head
    rows, cases = results({"plain": 0.0, "own": 1.0})
    table = compare(GRID, [{**row, "steps": "40"} if row["method"] == "own" else row for row in rows], cases)
    assert (cell(table, "plain", "steps"), cell(table, "own", "steps")) == ("10", "40")
    assert "10, 40 steps" in table.caption


def test_equal_methods_do_not_differ() -> None:
    table = compare(GRID, *results({"plain": 0.0, "own": 0.0}))
    assert cell(table, "own", "p") == "1.000"
    assert cell(table, "own", "95 % CI") == "+0.0000 to +0.0000"


def test_without_the_reference_nothing_is_compared() -> None:
    table = compare(GRID, *results({"own": 1.0}))
    assert {cell(table, "own", name) for name in ("- plain", "p", "gain", "step")} == {"-"}


def test_the_caption_says_what_the_figures_are(table: Table) -> None:
    for fact in ("toy, validation split: 12 cases of 6 patients", "seeds 0, 1", "skip-empty", "± is the standard dev"):
        assert fact in table.caption
    assert table.caption in table.markdown()
    assert escape(table.caption) in table.html()
