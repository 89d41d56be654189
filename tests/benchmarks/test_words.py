from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from benchmarks.table import HEADERS, count, milliseconds, ratio_text, text_table
from benchmarks.words import headlines, unequal


def one_row(model: str, runtime: str, ratio: float | None, ci95: list[float] | None, dice: float) -> dict[str, Any]:
    """A row of report.json at fp32, tensor io."""
    found = {"against": f"unet/{runtime}-fp32", "ratio": ratio, "ci95": ci95} if ratio else None
    return {
        "id": f"{model}/{runtime}-fp32",
        "model": model,
        "role": "baseline" if model == "unet" else "student",
        "artefact": f"{runtime}-fp32",
        "device": "local",
        "runtime": runtime,
        "computes_in": None,
        "precision": "fp32",
        "io": "tensor",
        "bytes": 1_900_000,
        "latency": {"n": 30, "median_ms": 1.5, "p90_ms": 2.0},
        "not_timed": None,
        "speedup": {"same_precision": found, "fp32": found},
        "end_to_end": None,
        "dice": {"mean": dice},
        "failed": None,
        "verdict": "passed",
        "reasons": [],
    }


def report_of(ratio: float | None, ci95: list[float] | None, runtime: str = "litert") -> dict[str, Any]:
    """A student and its baseline."""
    return {
        "settings": {"threads": 1},
        "data": {"kind": "acdc", "split": "val", "cases": ["a"] * 8},
        "subjects": [
            {"name": "student", "role": "student", "parameters": 485_000, "macs": 38_800_000},
            {"name": "unet", "role": "baseline", "parameters": None, "macs": None},
        ],
        "rows": [
            one_row("student", runtime, ratio, ci95, 0.831),
            one_row("unet", runtime, None, None, 0.862),
        ],
    }


@pytest.mark.parametrize(
    ("ratio", "ci95", "said"),
    [
        (12.34, [11.0, 13.0], "student is 12.3 x faster than unet in LiteRT fp32"),
        (0.5, [0.4, 0.6], "student is 2.00 x slower than unet in LiteRT fp32"),
        (0.5, [0.4, 0.6], "95 % CI 1.67 to 2.50"),
        (1.1, [0.9, 1.3], "equally fast in LiteRT fp32 as far as this measurement shows"),
        (None, None, "student was not timed against unet"),
        (2.0, [1.9, 2.1], "mean Dice 0.831 against 0.862 on 8 val cases (acdc)"),
    ],
)
def test_the_headline_says_what_was_measured(ratio: float | None, ci95: list[float] | None, said: str) -> None:
    (sentence,) = headlines(report_of(ratio, ci95))
    assert said in sentence


def test_refusals_are_in_the_headline_and_under_the_table() -> None:
    report = report_of(2.0, [1.9, 2.1])
    refused = {**one_row("student", "onnxruntime", None, None, 0.4), "verdict": "rejected", "latency": None}
    report["rows"].append({**refused, "not_timed": "rejected", "reasons": ["class liver 0.9 -> 0.1", "NaN"]})
    assert "refused 1 of 3 artefacts" in headlines(report)[1]
    table = text_table(report)
    assert "REJECTED student/onnxruntime-fp32: class liver 0.9 -> 0.1; NaN" in table


def test_schedules_of_other_lengths_are_said() -> None:
    subjects = [{"name": name, "steps": steps} for name, steps in (("same", 800), ("long", 4000), ("unet", 800))]
    (said,) = unequal(subjects)
    assert said.startswith("long was trained for 4000 steps, unet for 800: ")
    assert unequal([{"name": "bundle", "steps": None}, {"name": "unet", "steps": 800}]) == []


def test_columns_are_aligned() -> None:
    lines = text_table(report_of(2.0, [1.9, 2.1])).splitlines()[:3]
    assert lines[0].split() == " ".join(HEADERS).split()
    places = [line.index(word) for line, word in zip(lines, ("verdict", "passed", "passed"), strict=True)]
    assert len(set(places)) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (999, "999"), (485_012, "485 k"), (31_040_000, "31 M"), (48_179_970_048, "48.2 G")],
)
def test_counts(value: int | None, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.1234, "0.123"), (4.567, "4.57"), (45.67, "45.7"), (456.7, "457")])
def test_milliseconds(value: float, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.96, "0.96"), (1.4, "1.40"), (12.34, "12.3"), (123.4, "123")])
def test_ratios(value: float, text: str) -> None:
    assert ratio_text(value) == text


def test_the_command_line_imports_nothing_heavy() -> None:
    check = "import sys, benchmarks.__main__; print(sorted({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
