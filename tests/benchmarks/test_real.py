"""The whole benchmark on a trained network and its real artefacts, further runtimes included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bench_toys import row
from test_benchmark import check_schema

from acwskd_edge.bench import fresh
from benchmarks import run as benchmark_run
from benchmarks.run import Settings, benchmark, read_report
from convert.pipeline import Settings as Conversion
from convert.pipeline import convert

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = {"runs": 10, "seconds": 1.0, "without": ("torch-compile",)}


@pytest.fixture(scope="module")
def converted(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ONNX, TFLite and Core ML, raw and not."""
    copy = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("real") / "run"))
    convert(copy, Conversion(["onnx", "tflite", "coreml"], ["fp32"], ["tensor", "raw"], max_dice_drop=1.0))
    return copy


@pytest.fixture(scope="module")
def report(converted: Path) -> dict[str, Any]:
    """Against itself; without torch.compile, which takes minutes: its own test has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fresh, "RUNS", 1)
        page = benchmark(Settings((converted,), converted, **SETTINGS))
    return read_report(page.parent / "report.json")


def test_the_report_follows_its_published_schema(report: dict[str, Any]) -> None:
    check_schema(report)
    with pytest.raises(jsonschema.ValidationError):
        check_schema({**report, "rows": [{**report["rows"][0], "bytes": "many"}]})
    assert json.loads(json.dumps(report)) == report


def test_macs_are_counted_twice_and_agree(report: dict[str, Any]) -> None:
    for one in report["subjects"]:
        assert one["macs_by"]["flop_counter"] == one["macs_by"]["onnx_graph"] == one["macs"]
        assert one["flops"] == 2 * one["macs"]
    assert "The two counts agree." in Path(report["subjects"][0]["where"], "report/index.html").read_text()


def test_a_further_runtime_has_a_dice_of_its_own(report: dict[str, Any]) -> None:
    own, forced = row(report, "run/onnx-fp32"), row(report, "run/onnx-fp32@openvino")
    assert (own["dice_from"], forced["dice_from"]) == ("gate", "here")
    assert forced["dice"]["mean"] == pytest.approx(own["dice"]["mean"], abs=1e-3)
    assert forced["agreement"]["argmax_agreement"] > 0.999
    assert forced["verdict"] == "passed"
    assert forced["computes_in"] == "f32"
    assert row(report, "run/onnx-fp32@openvino-default")["computes_in"] in ("f32", "bf16", "f16")


def test_the_way_from_raw_pixels_is_timed_and_holds_the_network(report: dict[str, Any]) -> None:
    timed = [one for one in report["rows"] if one["latency"]]
    assert {one["runtime"] for one in timed} == {"torch", "onnxruntime", "litert", "openvino", "openvino-default"}
    for one in timed:
        assert one["end_to_end"]["min_ms"] > 0
        assert one["fresh"]["peak_mb"] > 10
    student = row(report, "run/tflite-fp32")
    assert student["end_to_end"]["speedup"]["fp32"]["against"] == "run 2/tflite-fp32"


def test_the_ladder_goes_over_onnx(report: dict[str, Any]) -> None:
    steps = row(report, "run/tflite-fp32")["ladder"]
    for name in ("torch_onnx", "onnx_target", "torch_target"):
        assert steps[name]["argmax_agreement"] > 0.999
        assert steps[name]["max_logit_error"] < 1e-3
    assert row(report, "run/onnx-fp32")["ladder"]["onnx_target"]["max_logit_error"] == 0
    raw = row(report, "run/tflite-fp32-raw")["ladder"]
    assert raw["torch_target"]["max_logit_error"] is None
    assert raw["torch_target"]["argmax_agreement"] > 0.999


def test_what_runs_an_artefact_is_told(report: dict[str, Any]) -> None:
    lite = row(report, "run/tflite-fp32")["coverage"]
    assert (lite["engine"], lite["partitions"], lite["whole_graph"]) == ("XNNPACK", 1, True)
    assert lite["covered"] == lite["total"]
    onnx = row(report, "run/onnx-fp32")["coverage"]
    assert onnx["engine"] == "CPUExecutionProvider"
    assert onnx["kernels"]["Conv"] > 5
    layers = row(report, "run/onnx-fp32@openvino")["coverage"]["kernels"]
    assert any(name.startswith("Convolution f32") for name in layers)
    apple = row(report, "run/coreml-fp32")["coverage"]
    assert apple["kernels"]["conv"] > 5
    assert apple["whole_graph"] is None


def test_what_was_executed_is_not_executed_again(
    converted: Path, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "one_process", lambda *_: pytest.fail("started again"))
    monkeypatch.setattr("benchmarks.execution.Bench.execute", lambda *_: pytest.fail("executed again"))
    monkeypatch.setattr(benchmark_run, "pictures", lambda *_: [])
    again = benchmark(Settings((converted,), converted, **{**SETTINGS, "runs": 12}))
    assert read_report(again.parent / "report.json")["key"] != report["key"]
