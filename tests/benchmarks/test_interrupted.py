"""What goes wrong in a row stays in that row; what was measured is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_toys import Measure, Toy, make_run, row

from acwskd_edge.bundle import open_bundle, seal
from benchmarks import timing
from benchmarks.rows import Row
from benchmarks.run import RowsFailed

BREAKS = Toy("fp16", content="0.0001 breaks 25")  # cold start, golden slices and warm-up go well


def repair(run: Path) -> None:
    """Make the artefact that breaks a good one, under a new seal: the row is another one now."""
    bundle = open_bundle(run)
    (bundle.root / "toy/fp16.toy").write_text("0.0001")
    seal(bundle.root, list(bundle.artefacts))


def test_a_runtime_that_raises_mid_run_costs_its_own_row_only(
    tmp_path: Path, acdc_folder: Path, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "one", acdc_folder, toys=(Toy(), BREAKS))
    baseline = make_run(tmp_path / "two", acdc_folder)
    report = measure([run], baseline, raises=RowsFailed)
    broken = row(report, "one/toy-fp16")
    assert broken["failed"] == "RuntimeError: the delegate lost its device"
    assert broken["latency"] is broken["end_to_end"] is None
    assert row(report, "one/toy-fp32")["speedup"]["fp32"]["ratio"] > 0
    assert "FAILED one/toy-fp16: RuntimeError" in capsys.readouterr().out
    page = (run / "report/index.html").read_text()
    assert "lost its device" in page
    assert "FAILED" in page


def test_a_rerun_measures_only_what_failed(
    tmp_path: Path, acdc_folder: Path, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "one", acdc_folder, toys=(Toy(), BREAKS))
    baseline = make_run(tmp_path / "two", acdc_folder)
    first = measure([run], baseline, raises=RowsFailed)
    sessions: list[tuple[list[str], list[str]]] = []
    real = timing.time_session

    def spy(session: list[Row], waiting: list[Row], *rest: Any) -> Any:
        sessions.append(([one.id for one in session], [one.id for one in waiting]))
        return real(session, waiting, *rest)

    monkeypatch.setattr(timing, "time_session", spy)
    second = measure([run], baseline, raises=RowsFailed)
    assert sessions == [(["one/toy-fp16", "two/toy-fp32"], ["one/toy-fp16"])]
    for name in ("one/checkpoint", "one/toy-fp32", "two/toy-fp32"):
        assert row(second, name) == row(first, name)
    repair(run)
    third = measure([run], baseline)
    assert not any(one["failed"] for one in third["rows"])
    assert json.loads((run / "report/measurements.json").read_text())["latency"] == {}


def test_a_killed_run_continues_with_the_next_pass(
    tmp_path: Path, acdc_folder: Path, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "one", acdc_folder)
    real, passes = timing.time_session, []

    def killed(session: list[Row], *rest: Any) -> Any:
        passes.append(len(session))
        if len(passes) == 2:
            raise KeyboardInterrupt
        return real(session, *rest)

    monkeypatch.setattr(timing, "time_session", killed)
    with pytest.raises(KeyboardInterrupt):
        measure([run], run, passes=2)
    assert not (run / "report/report.json").exists()
    report = measure([run], run, passes=2)
    assert passes == [4, 4, 4]
    assert all(one["latency"]["rounds"] == 10 for one in report["rows"])


def test_an_artefact_of_another_architecture_is_named(tmp_path: Path, acdc_folder: Path, measure: Measure) -> None:
    run = make_run(tmp_path / "one", acdc_folder, toys=(Toy(), Toy("int8", content="\x7fELF aarch64")))
    report = measure([run], run, raises=RowsFailed)
    assert "int8.toy cannot be loaded (built for aarch64)" in row(report, "one/toy-int8")["failed"]
    assert row(report, "one/toy-fp32")["latency"]


def test_a_runtime_that_takes_its_process_down_is_not_loaded_here(
    tmp_path: Path, acdc_folder: Path, measure: Measure
) -> None:
    run = make_run(tmp_path / "one", acdc_folder, toys=(Toy(), Toy("int8", content="0.001 kills 1")))
    report = measure([run], run, raises=RowsFailed)
    assert "ended with signal 6" in row(report, "one/toy-int8")["failed"]
    assert row(report, "one/toy-fp32")["latency"]
