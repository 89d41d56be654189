"""Engines in the benchmark: the kit and the bundle are real; `stand_in_gpu` plays TensorRT and its GPU."""

from __future__ import annotations

import json
import shutil
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stand_in_gpu
import torch

import benchmarks.engines as engines
from acwskd_edge import runtimes
from acwskd_edge.errors import MissingDependency
from benchmarks.run import Settings, benchmark
from benchmarks.subjects import Subject, open_all
from convert.basis import Settings as Wanted
from convert.pipeline import convert


@pytest.fixture(scope="module")
def built(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run with an int8 engine, as a Jetson would have made it."""
    run = tmp_path_factory.mktemp("engines") / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("bundle"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(stand_in_gpu.HERE / "python"))
        patch.setenv("ACWSKD_CUDART", str(stand_in_gpu.compiled(tmp_path_factory.mktemp("cudart"))))
        patch.syspath_prepend(stand_in_gpu.HERE / "python")
        convert(run, Wanted(["jetson"], ["int8"], ["raw"], cases=1))
    sys.modules.pop("tensorrt", None)
    return run


@pytest.fixture
def subjects(built: Path) -> list[Subject]:
    return open_all([built], built)


@pytest.mark.slow
def test_an_engine_that_cannot_run_here_has_its_row_with_the_devices_figures(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = benchmark(Settings((built,), built, tmp_path / "report", runs=10, without=("torch-compile",)))
    report = json.loads((page.parent / "report.json").read_text())
    one = report["engines"][0]
    timed = json.loads((built / "jetson/int8-raw.engine/time_engine.json").read_text())
    judged = json.loads((built / "jetson/int8-raw.engine/run.json").read_text())
    assert (one["id"], one["state"]) == ("run/jetson-int8-raw", "passed")
    assert one["milliseconds"] == timed["milliseconds"]
    assert one["dice"] == judged["dice"]
    assert one["device"]["tensorrt"] == "tensorrt 10.3.0"
    assert not any(row["runtime"] == "tensorrt" for row in report["rows"])  # apart from what was timed here
    screen = capsys.readouterr().out
    assert "measured on a GPU of compute capability 8.7, tensorrt 10.3.0:" in screen
    line = next(text for text in screen.splitlines() if text.startswith("run") and "jetson-int8-raw" in text)
    assert line.endswith(f"{judged['dice']['mean']:.4f} passed")
    html = page.read_text()
    assert "Measured on a GPU of compute capability 8.7, tensorrt 10.3.0." in html
    assert "every latency, but of the engines, is of " in html
    benchmark(Settings((built,), built, tmp_path / "report", runs=10, without=("torch-compile",)))
    assert "measured on a GPU" in capsys.readouterr().out


def test_a_ratio_is_of_one_device_in_one_power_mode(subjects: list[Subject]) -> None:
    student, baseline = engines.engines_of(subjects)
    assert student["speedup"] == {"against": "run 2/jetson-int8-raw", "ratio": 1.0}
    assert baseline["speedup"] is None
    for key, other in (("power_mode", "25W"), ("l4t", "36.5.0"), ("gpu", "another")):
        elsewhere = {**baseline, "device": {**baseline["device"], key: other}}
        assert engines.speedup(student, [student, elsewhere]) is None
    assert engines.speedup(student, [student, {**baseline, "precision": "fp16"}]) is None


def test_a_kit_that_was_not_built_says_so(subjects: list[Subject]) -> None:
    kit = subjects[0].bundle.report["kits"][0]  # type: ignore[union-attr]
    one = engines.described(subjects[0], {**kit, "state": "not built", "device": {"preflight": {"board": "x"}}})
    report = {"engines": [{**one, "speedup": None}], "torch_tensorrt": None}
    assert (one["device"], one["milliseconds"], one["dice"]) == (None, None, None)
    assert engines.lines(report)[-1].split() == ["run", "jetson-int8-raw", *"-" * 8, "NOT", "BUILT"]
    assert "No engine of these ran" in engines.section_html(report)


def test_a_refused_engine_says_why(subjects: list[Subject]) -> None:
    kit = subjects[0].bundle.report["kits"][0]  # type: ignore[union-attr]
    run = {**kit["device"]["run"], "reasons": ["Dice of liver drops by 0.5 > 0.01"]}
    one = engines.described(subjects[0], {**kit, "state": "rejected", "device": {**kit["device"], "run": run}})
    shown = engines.lines({"engines": [{**one, "speedup": None}], "torch_tensorrt": None})
    assert shown[-2].endswith(" REJECTED")
    assert shown[-1] == "REJECTED run/jetson-int8-raw: Dice of liver drops by 0.5 > 0.01"


def test_without_a_kit_nothing_is_said() -> None:
    report: dict[str, Any] = {"engines": [], "torch_tensorrt": None}
    assert engines.lines(report) == []
    assert engines.section_html(report) == ""


class TestTorchTensorRt:
    """A recorded API where the real one, which needs an NVIDIA GPU, cannot be."""

    @dataclass
    class Recorded:
        asked: dict[str, Any]

        def compile(self, network: torch.nn.Module, **options: Any) -> torch.nn.Module:
            self.asked.update(options)
            return network

    @pytest.fixture
    def recorded(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
        asked: dict[str, Any] = {}
        module = types.ModuleType("torch_tensorrt")
        module.compile = self.Recorded(asked).compile  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torch_tensorrt", module)
        monkeypatch.delitem(sys.modules, "acwskd_edge.runtimes.torch_tensorrt", raising=False)
        import acwskd_edge.runtimes.torch_tensorrt as runtime

        monkeypatch.setattr(runtime, "DEVICE", "cpu")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "no GPU")
        yield asked
        sys.modules.pop("acwskd_edge.runtimes.torch_tensorrt", None)

    def test_it_is_timed_where_it_is_installed(self, recorded: dict[str, Any], subjects: list[Subject]) -> None:
        found = engines.second_route(subjects[:1], 10, 1)
        assert found
        assert (recorded["ir"], recorded["disable_tf32"]) == ("dynamo", True)
        assert [tuple(one.shape) for one in recorded["inputs"]] == [(1, 1, 32, 32)]
        (row,) = found["rows"]
        assert row["argmax_agreement"] == 1
        assert row["latency"]["n"] == 10
        (line,) = engines.route_lines({"torch_tensorrt": found})
        assert line.startswith("torch-tensorrt here, on no GPU: run fp32 ")

    def test_without_it_a_line_says_why_and_what_installs_it(
        self, monkeypatch: pytest.MonkeyPatch, subjects: list[Subject]
    ) -> None:
        monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
        monkeypatch.delitem(sys.modules, "acwskd_edge.runtimes.torch_tensorrt", raising=False)
        (line,) = engines.route_lines({"torch_tensorrt": engines.second_route(subjects, 10, 1)})
        assert line.startswith("torch-tensorrt: not run here: runtime torch-tensorrt cannot be imported (")
        assert line.endswith("; next: pip install torch-tensorrt (with the torch of its release), on an NVIDIA GPU")

    def test_without_a_gpu_it_says_that(
        self, recorded: dict[str, Any], built: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(MissingDependency, match="needs an NVIDIA GPU, and torch sees none"):
            runtimes.load("torch-tensorrt", built / "best.safetensors")
