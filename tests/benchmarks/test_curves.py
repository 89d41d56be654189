from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.curves import curves_of
from benchmarks.grid import Run


def run_of(folder: Path, method: str, seed: int, checks: dict[int, float]) -> Run:
    run = Run(method, seed, folder / method / str(seed), "plain", {})
    run.folder.mkdir(parents=True)
    records = [{"step": 10, "loss": 1.0}, *({"step": step, "val_dice": dice} for step, dice in checks.items())]
    (run.folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    return run


def test_a_method_is_shown_as_far_as_all_its_seeds_have_come(tmp_path: Path) -> None:
    runs = [
        run_of(tmp_path, "plain", 0, {10: 0.1, 20: 0.2, 30: 0.3}),
        run_of(tmp_path, "plain", 1, {10: 0.3, 20: 0.4}),
        run_of(tmp_path, "young", 0, {}),
        Run("later", 0, tmp_path / "later", "plain", {}),
    ]
    curves = curves_of(runs)
    assert list(curves) == ["plain"]
    steps, values = curves["plain"]
    assert steps == [10, 20]
    assert values.mean(axis=0) == pytest.approx([0.2, 0.3])
