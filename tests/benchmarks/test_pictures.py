from __future__ import annotations

import base64
import re
from typing import Any

import cv2
import numpy as np

from acwskd_edge.contract import Contract
from benchmarks.pictures import SIDE, choose_cases, choose_slice, data_uri, front, pareto_svg, plots

LATENCY = "Dice against latency"


def timed(model: str, precision: str, latency: float | None, dice: float) -> dict[str, Any]:
    """A row of report.json, as far as the plot reads it."""
    return {
        "id": f"{model}/{precision}",
        "model": model,
        "runtime": "litert",
        "precision": precision,
        "io": "tensor",
        "bytes": 10**6,
        "latency": None if latency is None else {"median_ms": latency},
        "end_to_end": None,
        "dice": {"mean": dice},
        "verdict": "passed",
    }


def test_the_plot_is_inline_repeatable_and_follows_the_page_s_colour() -> None:
    rows = [timed("a&b", "fp32", 10.0, 0.8), timed("unet", "int8", 100.0, 0.9)]
    svg = pareto_svg(rows, LATENCY)
    assert svg.startswith("<svg")
    assert 'role="img"' in svg
    assert "currentColor" in svg
    assert "a&amp;b" in svg
    assert "int8" in svg
    assert not re.search(r"href=\"(?!#)|<metadata|<!DOCTYPE", svg)
    assert svg == pareto_svg(rows, LATENCY)


def test_without_a_timed_row_there_is_no_plot() -> None:
    assert pareto_svg([timed("a", "fp32", None, 0.8)], LATENCY) == ""
    assert list(plots([timed("a", "fp32", None, 0.8)])) == ["Dice against size"]


def test_a_refused_artefact_is_no_point() -> None:
    assert plots([timed("a", "fp32", 1.0, 0.8) | {"verdict": "rejected"}]) == {}


def test_the_front_holds_what_no_other_row_beats_in_both() -> None:
    points = [(3.0, 0.9), (1.0, 0.7), (2.0, 0.6), (2.0, 0.8), (4.0, 0.85), (5.0, 0.9)]
    assert front(points) == [(1.0, 0.7), (2.0, 0.8), (3.0, 0.9)]


def test_cases_shown_include_the_worst_the_greatest_loss_the_median_and_the_best() -> None:
    student = {f"case{i}": {"liver": 0.1 * i, "spleen": None} for i in range(10)}
    baseline = {f"case{i}": {"liver": 0.9 if i == 7 else 0.1 * i, "spleen": None} for i in range(10)}
    student["empty"] = {"liver": None, "spleen": None}
    chosen = dict(choose_cases(student, baseline))
    assert list(chosen) == ["case0", "case1", "case7", "case5", "case9"]
    assert chosen["case0"] == "worst case, Dice 0.000"
    assert chosen["case7"].startswith("lost most to the baseline")
    assert choose_cases({"empty": {"liver": None}}, {}) == []
    assert len(choose_cases({"only": {"liver": 0.5}}, {})) == 1


def test_the_worst_slice_has_truth_enough(contract: Contract) -> None:
    truth = np.zeros((4, 8, 8), np.uint8)
    truth[0, 0, 0] = 1  # a single pixel, missed: not worth showing
    truth[1, :4] = 1
    truth[2, :4] = 2
    pred = truth.copy()
    pred[0] = 0
    pred[2, 2:] = 0
    assert choose_slice(truth, pred, contract, worst=True) == 2
    assert choose_slice(truth, pred, contract, worst=False) == 1


def test_large_pictures_are_reduced_and_small_ones_kept() -> None:
    for side, expected in ((1000, SIDE), (50, 50)):
        picture = np.zeros((side, side // 2, 3), np.uint8)
        head, _, data = data_uri(picture).partition(",")
        assert head == "data:image/png;base64"
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.shape == (expected, expected // 2, 3)
