from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from disk import write_flare

from benchmarks import sweep
from benchmarks.collect import read_csv
from benchmarks.grid import Run, load_grid
from benchmarks.sweep import Pace, duration, main

GRID = """
title: Boxes
common: {{data: "flare22:{data}", size: 32, batch: 2, threads: 1, steps: 4, validate_every: 2, model: s2d16}}
seeds: [0]
recipe: plain
plain: plain
reference: kd
methods:
  - {{name: kd, objective: {{name: kd}}, teacher: plain}}
  - {{name: plain}}
  - {{name: odd, objective: {{name: nowhere}}}}
  - {{name: orphan, objective: {{name: kd}}, teacher: odd}}
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], int, str]:
    """A folder with a sweep that was run, the words of its command, its exit code and what it printed."""
    root = tmp_path_factory.mktemp("sweep")
    for number in (1, 2, 3, 4, 5, 10, 14):
        write_flare(root / "data", f"FLARE22_Tr_{number:04d}", number)
    (root / "boxes.yaml").write_text(GRID.format(data=root / "data"))
    words = [str(root / "boxes.yaml"), "--out", str(root / "runs"), "--results", str(root / "results/boxes.csv")]
    command = [sys.executable, "-m", "benchmarks.sweep", *words, "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return root, words, done.returncode, done.stdout + done.stderr


def call(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["sweep", *words])
    return main()


@pytest.mark.slow
class TestSweep:
    def test_a_run_that_fails_fails_alone(self, swept: tuple[Path, list[str], int, str]) -> None:
        root, _, code, said = swept
        assert code == 1
        assert "failed: odd seed 0: exit code 2: error: unknown objective 'nowhere'" in said
        assert f"log: {root}/runs/odd/seed0/train.log" in said
        assert f"failed: orphan seed 0: its teacher in {root}/runs/odd/seed0 failed" in said
        assert [row["method"] for row in read_csv(root / "results/boxes.csv")] == ["kd", "plain"]

    def test_a_teacher_is_trained_before_its_student(self, swept: tuple[Path, list[str], int, str]) -> None:
        said = swept[3]
        assert said.index("plain seed 0: Dice") < said.index("kd seed 0 begins")

    def test_the_results_hold_a_row_a_run_and_a_row_a_case(self, swept: tuple[Path, list[str], int, str]) -> None:
        root = swept[0]
        row = read_csv(root / "results/boxes.csv")[0]
        wanted = ("dataset", "split", "model", "method", "seed", "steps", "size")
        assert [row[name] for name in wanted] == ["flare22", "val", "s2d16", "kd", "0", "4", "32"]
        assert row.keys() >= {"dice", "dice_liver", "hd95", "step_ms", "peak_mb", "commit", "settings", "threads"}
        assert row["device"] == "cpu"
        scores = json.loads((root / "runs/kd/seed0/validation.json").read_text())
        assert float(row["dice"]) == scores["mean_dice"]
        cases = [one for one in read_csv(root / "results/boxes-cases.csv") if one["method"] == "kd"]
        assert {one["case"]: one["patient"] for one in cases} == scores["patients"]
        assert [float(one["dice_liver"]) for one in cases] == [one["liver"] for one in scores["cases"].values()]

    def test_run_again_it_trains_only_what_is_not_finished(
        self,
        swept: tuple[Path, list[str], int, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert call([*swept[1], "--only", "kd"], monkeypatch) == 0
        said = capsys.readouterr().out
        assert "2 runs, 2 of them finished" in said
        assert "begins" not in said

    def test_the_table_is_printed_and_written_as_markdown_and_html(
        self,
        swept: tuple[Path, list[str], int, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert call([*swept[1], "--table"], monkeypatch) == 0
        root, said = swept[0], capsys.readouterr().out
        assert (root / "results/boxes.md").read_text() in said
        assert "<title>Boxes</title>" in (root / "results/boxes.html").read_text()
        for picture in ("boxes-curves.png", "boxes-dots.png"):
            assert cv2.imread(str(root / "results" / picture)) is not None

    def test_the_test_split_is_touched_once_and_the_touch_is_recorded(
        self,
        swept: tuple[Path, list[str], int, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        root, words, *_ = swept
        assert not (root / "runs/test-split.json").exists()
        assert call([*words, "--score", "test"], monkeypatch) == 0
        first = (root / "runs/plain/seed0/test.json").read_bytes()
        assert call([*words, "--score", "test"], monkeypatch) == 0
        assert "the test split is not touched again" in capsys.readouterr().out
        assert (root / "runs/plain/seed0/test.json").read_bytes() == first
        touches = json.loads((root / "runs/test-split.json").read_text())
        assert [sorted(one["runs"]) for one in touches] == [["kd seed 0", "plain seed 0"]]
        assert set(json.loads(first)["patients"]) == {"FLARE22_Tr_0010", "FLARE22_Tr_0014"}
        assert {row["split"] for row in read_csv(root / "results/boxes-test.csv")} == {"test"}
        assert "test split: 2 cases of 2 patients" in (root / "results/boxes-test.md").read_text()

    def test_rows_of_runs_that_are_not_here_stay(self, swept: tuple[Path, list[str], int, str], tmp_path: Path) -> None:
        root = swept[0]
        grid, results = load_grid(str(root / "boxes.yaml")), tmp_path / "boxes.csv"
        for name in ("boxes.csv", "boxes-cases.csv"):
            (tmp_path / name).write_bytes((root / "results" / name).read_bytes())
        elsewhere = [
            replace(run, folder=tmp_path / "gone") if run.method == "kd" else run for run in grid.runs(root / "runs")
        ]
        sweep.write_results(grid, elsewhere, results)
        for name in ("boxes.csv", "boxes-cases.csv"):
            assert read_csv(tmp_path / name) == read_csv(root / "results" / name)
        next(run for run in elsewhere if run.method == "kd").overrides["steps"] = 5  # another run by the same name
        sweep.write_results(grid, elsewhere, results)
        assert [row["method"] for row in read_csv(results)] == ["plain"]
        assert {row["method"] for row in read_csv(tmp_path / "boxes-cases.csv")} == {"plain"}

    def test_a_run_of_another_recipe_is_not_taken_for_finished(self, swept: tuple[Path, list[str], int, str]) -> None:
        root = swept[0]
        plain = next(run for run in load_grid(str(root / "boxes.yaml")).runs(root / "runs") if run.method == "plain")
        assert sweep.is_finished(plain)
        plain.overrides["steps"] = 5
        assert not sweep.is_finished(plain)


ENDED = """
import os, signal, subprocess, sys, time
from benchmarks.sweep import children
process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
try:
    with children() as active:
        active[process] = None
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
except KeyboardInterrupt:
    print(process.returncode == -signal.SIGTERM)
"""


def test_when_the_sweep_is_ended_its_trainings_end_too() -> None:
    """In a process of its own: a converter that was loaded by another test has its own way with SIGTERM."""
    done = subprocess.run([sys.executable, "-c", ENDED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


def test_the_time_left_is_that_of_the_method_or_else_by_cost() -> None:
    def run(method: str, cost: float) -> Run:
        return Run(method, 0, Path("out"), "plain", {}, cost=cost)

    pace = Pace()
    assert pace.seconds_left([run("a", 10.0)], []) == 0.0
    pace.learn(run("a", 10.0), 30.0)
    assert pace.seconds_left([run("a", 999.0), run("b", 20.0)], []) == 30.0 + 60.0
    assert pace.seconds_left([], [(run("b", 20.0), time.monotonic() - 25)]) == pytest.approx(35, abs=1)


@pytest.mark.parametrize(("seconds", "text"), [(41.7, "42 s"), (700, "12 min"), (11_100, "3 h 05 min")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
