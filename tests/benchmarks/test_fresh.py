from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from runtimes.onnx_reader_contract import save

from acwskd_edge.bench import fresh
from acwskd_edge.errors import MissingDependency

BATCH = np.zeros((1, 2, 4, 4), np.float32)


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process, not three."""
    monkeypatch.setattr(fresh, "RUNS", 1)


def test_a_fresh_process_tells_its_start_and_its_memory(tmp_path: Path) -> None:
    found = fresh.measure("acwskd_edge.runtimes.onnx", save(tmp_path / "m.onnx"), 1, BATCH)
    assert found["cold_start_ms"] == pytest.approx(found["load_ms"] + found["first_ms"], abs=0.05)
    assert 10 < found["peak_mb"] < 200  # no torch, whatever this process has loaded
    assert 0 <= found["model_mb"] < found["peak_mb"]
    assert found["runs"] == 1


def test_memory_is_the_childs_own(tmp_path: Path) -> None:
    ballast = np.ones(60_000_000, np.float64)  # 480 MB that the child must not show
    found = fresh.measure("acwskd_edge.runtimes.onnx", save(tmp_path / "m.onnx"), 1, BATCH)
    assert ballast.nbytes / 1e6 > 2 * found["peak_mb"]


def test_an_artefact_that_cannot_be_read_is_told_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("no graph")
    with pytest.raises(fresh.Crashed, match=r"exit code 2 .*m\.onnx cannot be loaded"):
        fresh.measure("acwskd_edge.runtimes.onnx", tmp_path / "m.onnx", 1, BATCH)


def module(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A runtime module with this `load`."""
    (folder / "odd_runtime.py").write_text(f"def load(path, threads):\n    {body}\n")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return "odd_runtime"


def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module(tmp_path, "import os; os.abort()", monkeypatch)
    with pytest.raises(fresh.Crashed, match="signal 6"):
        fresh.measure(name, tmp_path / "m", 1, BATCH)


def test_a_process_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "LIMIT", 2.0)
    name = module(tmp_path, "import time; time.sleep(60)", monkeypatch)
    with pytest.raises(fresh.Crashed, match="no answer within 2 s"):
        fresh.measure(name, tmp_path / "m", 1, BATCH)


def test_what_is_missing_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "from acwskd_edge.errors import MissingDependency; raise MissingDependency('no g++', hint='install g++')"
    with pytest.raises(MissingDependency, match="no g\\+\\+; next: install g\\+\\+"):
        fresh.measure(module(tmp_path, body, monkeypatch), tmp_path / "m", 1, BATCH)


def test_its_answer_is_one_line_of_json(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", BATCH)
    found = fresh.main("acwskd_edge.runtimes.onnx", str(save(tmp_path / "m.onnx")), "1", str(tmp_path / "b.npy"))
    assert json.loads(json.dumps(found)) == found
