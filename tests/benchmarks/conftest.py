"""Benchmarks of toys: a runtime that sleeps, and no further runtimes; test_real.py has the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_toys import Measure

from acwskd_edge.bench import fresh
from acwskd_edge.runtimes import RUNTIMES, RuntimeEntry
from benchmarks.rows import FURTHER
from benchmarks.run import Settings, benchmark


@pytest.fixture
def sleeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timed runtime that sleeps; cold starts once, not three times."""
    monkeypatch.setitem(RUNTIMES, "sleeper", RuntimeEntry("bench_toys", "pip install numpy", True))
    monkeypatch.setitem(RUNTIMES, "coreml-program", RuntimeEntry("bench_toys", "pip install numpy", False))
    monkeypatch.setattr(fresh, "RUNS", 1)
    for name in list(FURTHER):
        monkeypatch.delitem(FURTHER, name)


@pytest.fixture
def measure(sleeper: None) -> Measure:
    """Benchmark with few runs; returns report.json, also where the benchmark then raises (`raises=Error`)."""

    def run(
        students: list[Path], baseline: Path, raises: type[Exception] | None = None, **options: Any
    ) -> dict[str, Any]:
        settings = Settings(tuple(students), baseline, **{"runs": 10, "seconds": 2.0, "turn": 0.0, **options})
        folder = options.get("out") or students[0] / "report"
        if raises:
            with pytest.raises(raises):
                benchmark(settings)
        else:
            folder = benchmark(settings).parent
        return dict(json.loads((folder / "report.json").read_text()))

    return run
