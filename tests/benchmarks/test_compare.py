from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from bench_toys import Measure, Toy, make_run

from acwskd_edge.errors import UsageError
from benchmarks.compare import Limits, regressions
from benchmarks.run import Regressed

LIMITS = Limits()


def timed(name: str, ms: float, ratio: float | None = None, dice: float = 0.8) -> dict[str, Any]:
    """A row of report.json as far as the comparison reads it; intervals of 2 %."""
    found = ratio and {"against": "unet/fp32", "ratio": ratio, "ci95": [0.99 * ratio, 1.01 * ratio]}
    return {
        "id": name,
        "bytes": 1_000_000,
        "latency": {"median_ms": ms, "median_ci95_ms": [0.99 * ms, 1.01 * ms]},
        "speedup": {"same_precision": found, "fp32": found},
        "dice": {"mean": dice, "liver": dice},
        "verdict": "passed",
    }


@pytest.fixture
def old() -> dict[str, Any]:
    rows = [timed("a", 10.0, 10.0), timed("b", 5.0, 20.0), timed("c", 2.0, 50.0), timed("unet/fp32", 100.0)]
    return {
        "made": "then",
        "machine": {"processor": "x"},
        "settings": {"threads": 1},
        "data": {"cases": ["one"]},
        "rows": rows,
    }


@pytest.fixture
def new(old: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(old)


def test_the_same_passes(old: dict[str, Any], new: dict[str, Any]) -> None:
    found = regressions(old, new, LIMITS)
    assert found.worse == []
    assert found.compared == 4


def test_two_runs_say_how_well_their_ratios_agree(old: dict[str, Any], new: dict[str, Any]) -> None:
    new["rows"][1] = timed("b", 5.0, 22.0)
    new["rows"][2]["end_to_end"] = {"speedup": {"same_precision": {"ratio": 9.0}, "fp32": None}}
    old["rows"][2]["end_to_end"] = {"speedup": {"same_precision": {"ratio": 10.0}, "fp32": None}}
    assert "7 ratios differ by at most 11.1 % (c, same_precision end to end), 0.0 % in the median" in (
        regressions(old, new, LIMITS).notes
    )


def test_a_slower_row_is_found_by_its_ratio(old: dict[str, Any], new: dict[str, Any]) -> None:
    new["rows"][1] = timed("b", 7.0, 14.3)
    (said,) = regressions(old, new, LIMITS).worse
    assert said.startswith("b is 1.40 x slower (against unet/fp32 20.00 x -> 14.30 x)")
    assert regressions(old, new, Limits(latency=0.5)).worse == []


def test_intervals_that_overlap_prove_nothing(old: dict[str, Any], new: dict[str, Any]) -> None:
    new["rows"][1] = timed("b", 7.0, 14.3)
    new["rows"][1]["speedup"]["same_precision"]["ci95"] = [9.0, 21.0]
    assert regressions(old, new, LIMITS).worse == []


def test_a_machine_that_is_slower_altogether_is_drift_and_a_slower_baseline_is_not(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    for one in new["rows"]:
        one["latency"] = timed("", 1.6 * one["latency"]["median_ms"])["latency"]
    found = regressions(old, new, LIMITS)
    assert found.worse == []
    assert "drift of the machine since then: 1.60 x" in found.notes
    new["rows"][3]["latency"] = timed("", 400.0)["latency"]
    (said,) = regressions(old, new, LIMITS).worse
    assert said.startswith("unet/fp32 is 2.50 x slower")


def test_another_machine_is_compared_by_ratio_only(old: dict[str, Any], new: dict[str, Any]) -> None:
    new["machine"] = {"processor": "y"}
    new["rows"][3] = timed("unet/fp32", 900.0)
    assert regressions(old, new, LIMITS).worse == []
    new["rows"][0] = timed("a", 10.0, 5.0)
    assert len(regressions(old, new, LIMITS).worse) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dice": {"mean": 0.795, "liver": 0.7}}, "lost Dice (liver 0.8000 -> 0.7000)"),
        ({"dice": {"mean": 0.795, "liver": None}}, "lost Dice (liver 0.8000 -> none)"),
        ({"bytes": 1_200_000}, "grew from 1.000 to 1.200 MB"),
        ({"verdict": "rejected"}, "is rejected now"),
    ],
)
def test_worse_or_larger(old: dict[str, Any], new: dict[str, Any], change: dict[str, Any], said: str) -> None:
    new["rows"][0] |= change
    assert regressions(old, new, LIMITS).worse == [f"a {said}"]


def test_a_row_that_is_gone_is_told_and_dice_of_other_cases_is_not_compared(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    new["rows"] = new["rows"][:1]
    new["rows"][0]["dice"]["mean"] = 0.1
    new["data"] = {"cases": ["two"]}
    found = regressions(old, new, LIMITS)
    assert found.worse == []
    assert "unet/fp32 is not among the rows any more" in found.notes
    assert any("other cases" in note for note in found.notes)


@pytest.mark.slow
def test_planted_regressions_are_found_and_the_same_passes(
    tmp_path: Path, acdc_folder: Path, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slept times are long against the machine's noise; the limit is wide for a busy machine."""
    baseline = make_run(tmp_path / "unet", acdc_folder, toys=(Toy(seconds=0.06),), dice=0.9)
    wide = {"limits": Limits(latency=0.5), "seconds": 1.0, "without": ("torch",)}

    def student(name: str, **toy: Any) -> Path:
        return make_run(tmp_path / name / "student", acdc_folder, toys=(Toy(**{"seconds": 0.02, **toy}),))

    measure([student("old")], baseline, **wide)
    before = tmp_path / "old/student/report/report.json"
    measure([student("same")], baseline, compare=before, **wide)
    assert f"no regression against {before}" in capsys.readouterr().out
    measure([student("slower", seconds=0.1)], baseline, compare=before, raises=Regressed, **wide)
    measure([student("worse", dice=0.5)], baseline, compare=before, raises=Regressed, **wide)
    assert Regressed.exit_code == 4


def test_a_report_of_another_schema_is_refused(tmp_path: Path, acdc_folder: Path, measure: Measure) -> None:
    run = make_run(tmp_path / "one", acdc_folder, toys=())
    (tmp_path / "old.json").write_text(json.dumps({"schema": 1}))
    with pytest.raises(UsageError, match="not a report of schema 2"):
        measure([run], run, compare=tmp_path / "old.json")
    with pytest.raises(UsageError, match=r"none\.json cannot be read"):
        measure([run], run, compare=tmp_path / "none.json")
