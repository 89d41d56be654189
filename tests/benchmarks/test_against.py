from __future__ import annotations

from pathlib import Path

import pytest

from acwskd_edge.errors import MissingDependency
from benchmarks import against, rivals


def row(dice_change: float, ratio: float) -> dict[str, object]:
    taken = {"ratio": ratio, "ci95": [ratio - 0.05, ratio + 0.05]}
    return {"runtime": "litert", "precision": "int8", "dice_change": dice_change, "ours_of_its_time": taken}


def test_what_is_not_better_is_said() -> None:
    rows = {
        "ours litert int8": row(-0.002, 1.0),
        "worse and slower": row(-0.1, 0.5),
        "as fast": row(-0.002, 0.95),
        "more accurate": row(-0.001, 0.2),
        "broken": {"runtime": "litert", "precision": "int8", "failed": "ValueError: no"},
    }
    assert against.not_better(rows) == [
        "litert int8: 0.95 (0.90 to 1.00) of as fast's time",
        "Dice change -0.0020, more accurate -0.0010",
    ]
    assert against.line_of("broken", rows["broken"]).endswith("failed: ValueError: no")


@pytest.mark.slow
def test_ours_and_the_usual_ways_in_one_run(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(given: rivals.Given) -> Path:
        raise ValueError("no such\noperator")

    broken = rivals.Rival("broken", "litert", "int8", "a converter that fails", fail)
    monkeypatch.setitem(rivals.RIVALS, "broken", broken)
    found = against.measure(tiny_run, None, 1, 10, ["onnx2tf", "pt2e", "static_wi8_ai8"])
    rows = found["rows"]
    assert rows.pop("broken")["failed"] == "ValueError: no such operator"
    ours = [against.ours_of(runtime, precision) for runtime in against.OURS.values() for precision in ("fp32", "int8")]
    assert list(rows) == [*ours, "torch.onnx", "quantize_static", "litert-torch", "dynamic_wi8_afp32"]
    for name in (*ours[::2], "torch.onnx", "litert-torch"):
        assert rows[name]["precision"] == "fp32"
        assert rows[name]["argmax_agreement"] > 0.999
        assert abs(rows[name]["dice_change"]) < 1e-3
    assert all(one["latency"]["n"] == 10 and one["mb"] > 0 for one in rows.values())
    assert all(rows[name]["ours_of_its_time"]["ratio"] == 1 for name in ours)
    assert len(found["subject"]["val_cases"]) == 1


def test_an_environment_is_made_once_and_named_if_it_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[object]] = []

    def offline(command: list[object]) -> None:
        raise RuntimeError("offline")

    def succeed(command: list[object]) -> None:
        commands.append(command)
        if "venv" in command:
            Path(str(command[-1])).mkdir(parents=True)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(rivals, "run", offline)
    with pytest.raises(MissingDependency, match=r"onnx2tf.*offline.*--without onnx2tf"):
        rivals.onnx2tf_python()
    monkeypatch.setattr(rivals, "run", succeed)
    python = rivals.onnx2tf_python()
    assert python.is_relative_to(tmp_path)
    assert len(commands) == 2
    assert rivals.onnx2tf_python() == python
    assert len(commands) == 2


def test_a_program_that_fails_says_its_last_line() -> None:
    with pytest.raises(RuntimeError, match=r"^no such model$"):
        rivals.run(["sh", "-c", "echo first; echo no such model; exit 1"])
