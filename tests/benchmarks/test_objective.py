from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from acwskd_edge.errors import UsageError
from benchmarks.collect import read_csv
from benchmarks.objective import HEADS, load, main


def test_every_head_of_the_last_step_is_scored(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["objective", str(tiny_run), "-o", str(tmp_path / "heads.csv")])
    assert main() == 0
    rows = {row["head"]: row for row in read_csv(tmp_path / "heads.csv")}
    assert tuple(rows) == HEADS
    log = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    last = [one["val_dice"] for one in log if "val_dice" in one][-1]
    assert float(rows["z"]["dice"]) == pytest.approx(last, abs=1e-6)
    assert len({row["dice"] for row in rows.values()}) == 3
    assert all(float(row["nll"]) > 0 and 1 < float(row["temperature"]) < 4 for row in rows.values())
    assert "| head | dice |" in capsys.readouterr().out


def test_a_run_of_another_objective_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    for name in ("validation.json", "state.safetensors", "recipe.yaml", "contract.json"):
        (tmp_path / name).write_bytes((tiny_run / name).read_bytes())
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("name: acw_skd", "name: plain"))
    with pytest.raises(UsageError, match=r"was trained with plain; allowed: runs of acw_skd"):
        load(tmp_path)
    with pytest.raises(UsageError, match=r"nowhere is not a finished run; next: python -m train"):
        load(tmp_path / "nowhere")
