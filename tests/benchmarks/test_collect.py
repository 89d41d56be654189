from __future__ import annotations

import csv
from pathlib import Path

import pytest

from acwskd_edge.errors import UsageError
from benchmarks.collect import cases_of, main, row_of


def test_a_finished_run_is_one_row(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "table.csv"
    monkeypatch.setattr("sys.argv", ["collect", str(tiny_run), str(tiny_run), "-o", str(out)])
    assert main() == 0
    first, second = csv.DictReader(out.read_text().splitlines())
    assert first == second
    assert (first["dataset"], first["model"], first["method"], first["steps"]) == ("flare22", "s2d16", "acw_skd", "60")
    assert 0 <= float(first["dice"]) <= 1
    assert float(first["step_ms"]) > 0
    assert first["macs"].isdigit()


def test_a_run_is_read_by_either_rule(tiny_run: Path) -> None:
    skipping, transunet = (row_of(tiny_run, rule=rule) for rule in ("skip-empty", "transunet"))
    assert skipping["dice_right adrenal"] is None
    assert transunet["dice_right adrenal"] in (0.0, 1.0)
    cases = cases_of(tiny_run, "mine", 7)
    assert [(one["method"], one["seed"], one["patient"]) for one in cases] == [("mine", 7, cases[0]["case"])]
    assert cases[0]["dice_liver"] == skipping["dice_liver"]


def test_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a finished run"):
        row_of(tmp_path)
