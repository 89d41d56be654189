from __future__ import annotations

import csv
from pathlib import Path

import pytest

from acwskd_edge.errors import UsageError
from benchmarks.collect import main, row_of


def test_a_finished_run_is_one_row(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "table.csv"
    monkeypatch.setattr("sys.argv", ["collect", str(tiny_run), str(tiny_run), "-o", str(out)])
    assert main() == 0
    first, second = csv.DictReader(out.read_text().splitlines())
    assert first == second
    assert (first["data"], first["model"], first["objective"], first["steps"]) == ("flare22", "s2d16", "acw_skd", "60")
    assert 0 <= float(first["mean_dice"]) <= 1


def test_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a finished run"):
        row_of(tmp_path)
