from __future__ import annotations

import json
from pathlib import Path

import pytest

from acwskd_edge.distill import OBJECTIVES
from benchmarks.stepcost import main


def test_every_objective_is_paired_with_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cost.json"
    words = ["stepcost", "--models", "s2d16", "--size", "32", "--rounds", "3", "-o", str(out)]
    monkeypatch.setattr("sys.argv", words)
    assert main() == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["objective"] for row in rows] == list(OBJECTIVES)
    assert rows[0]["ratio_to_plain"] == 1.0
    assert all(row["ratio_to_plain"] >= 1.0 for row in rows)
