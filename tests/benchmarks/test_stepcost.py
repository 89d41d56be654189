from __future__ import annotations

import json
from pathlib import Path

import pytest

from acwskd_edge.errors import UsageError
from benchmarks.stepcost import main, objectives


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["stepcost", "--models", "s2d16", "--sizes", "32", "--rounds", "3", *words])
    return main()


def test_every_objective_is_paired_with_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cost.json"
    assert run(monkeypatch, "--objectives", "acw_skd", "-o", str(out)) == 0
    plain, ours = json.loads(out.read_text())["rows"]
    assert [plain["objective"], ours["objective"]] == ["plain", "acw_skd"]
    assert plain["ratio_to_plain"] == plain["memory_ratio_to_plain"] == 1.0
    assert ours["ratio_to_plain"] > 1.0
    assert ours["step_mb"] > 0


def test_an_objective_with_a_teacher_is_not_among_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "kd" not in objectives()
    with pytest.raises(UsageError, match="unknown objective kd; allowed: plain"):
        run(monkeypatch, "--objectives", "kd", "-o", str(tmp_path / "cost.json"))
