from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from acwskd_edge.errors import UsageError
from acwskd_edge.models import build_model
from benchmarks.cost import macs
from benchmarks.emitted import Kind, blank_contract, emit, kinds_of
from benchmarks.layers import kernels_of
from benchmarks.peaks import PROBES, copy_bandwidth
from benchmarks.roofline import attainable, bandwidth_at, main
from benchmarks.traffic import Operation, operations

COPIES = [{"bytes": 1000, "gb_per_s": 10.0}, {"bytes": 1000000, "gb_per_s": 1.0}]


def emitted(folder: Path, kinds: str) -> dict[Kind, Path | str]:
    return emit("s2d8", blank_contract(1, 3, 32), kinds_of(kinds), folder)[1]


@pytest.fixture(scope="module")
def onnx_files(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path | str]:
    return emitted(tmp_path_factory.mktemp("onnx"), "onnxruntime:fp32,onnxruntime:int8")


def counted() -> int:
    with torch.device("meta"):
        return macs(build_model("s2d8", 1, 3), 1, 32, 32)


def test_macs_of_the_exported_graph_are_the_networks(onnx_files: dict[Kind, Path | str]) -> None:
    for path in onnx_files.values():
        assert sum(one.macs for one in operations(Path(path))) == counted()


def test_int8_moves_a_fraction_of_the_bytes(onnx_files: dict[Kind, Path | str]) -> None:
    full, eight = (sum(one.bytes for one in operations(Path(path))) for path in onnx_files.values())
    assert 0.2 < eight / full < 0.5
    assert {one.kind for one in operations(Path(onnx_files["onnxruntime", "fp32"]))} == {
        *("Conv", "MaxPool", "ConvTranspose", "Concat", "Resize")
    }


def test_the_first_layers_bytes_by_hand(onnx_files: dict[Kind, Path | str]) -> None:
    first = operations(Path(onnx_files["onnxruntime", "fp32"]))[0]
    assert first.bytes == 4 * (32 * 32 + 8 * 6 * 6 + 8 + 8 * 16 * 16)
    assert first.macs == 8 * 16 * 16 * 36


@pytest.mark.slow
def test_macs_of_a_tflite_graph_are_the_networks(tmp_path: Path) -> None:
    for path in emitted(tmp_path, "litert:fp32,litert:int8").values():
        assert sum(one.macs for one in operations(Path(path))) == counted()


def test_kernels_run_in_the_graphs_order(onnx_files: dict[Kind, Path | str]) -> None:
    for path in onnx_files.values():
        kernels = kernels_of(Path(path))
        convolutions = [one for one in kernels if one["kind"] in ("Conv", "QLinearConv", "ConvTranspose")]
        assert len(convolutions) == len([one for one in operations(Path(path)) if one.macs])
        assert all(one["us"] >= 0 for one in kernels)


def test_an_operation_is_as_slow_as_its_slower_roof() -> None:
    work = [Operation("a", "Conv", 4_000_000, 1000), Operation("b", "Concat", 0, 1_000_000)]
    found = attainable(work, 1e9, COPIES)
    assert found["compute_ms"] == 4.0
    assert found["memory_ms"] == pytest.approx(1.0 + 0.0001)
    assert found["roof_ms"] == 5.0
    assert found["memory_bound"] == 0.2


def test_bandwidth_is_that_of_the_nearest_copy() -> None:
    assert bandwidth_at(10, COPIES) == 10e9
    assert bandwidth_at(40_000, COPIES) == 1e9


def test_a_copy_has_a_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peaks.COPIED", (1 << 16, 1 << 20))
    monkeypatch.setattr("benchmarks.peaks.COPY_SECONDS", 0.01)
    found = copy_bandwidth()
    assert [one["bytes"] for one in found] == [1 << 17, 1 << 21]
    assert all(one["gb_per_s"] > 0.1 for one in found)


def test_a_probes_ends_weigh_nothing() -> None:
    for probe in PROBES:
        total = macs(probe.build(), 1, 8, 8)
        inner = 4 * probe.width**2 * probe.kernel**2 * 64
        assert inner / total > 0.97


def test_nothing_to_place_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["roofline", "-o", str(tmp_path / "r.json")])
    with pytest.raises(UsageError, match="nothing to place under the roofs"):
        main()


@pytest.mark.slow
def test_a_roofline_from_end_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.peaks.PROBES", PROBES[:1])
    monkeypatch.setattr("benchmarks.peaks.COPIED", (1 << 16, 1 << 20))
    out = tmp_path / "roofline.json"
    words = ["roofline", "--models", "s2d8,s2d16", "--size", "32", "--runs", "10", "--layers"]
    monkeypatch.setattr("sys.argv", [*words, "--work", str(tmp_path / "work"), "-o", str(out)])
    assert main() == 0
    found = json.loads(out.read_text())
    assert len(found["rows"]) == 8
    assert all(0 < row["of_roof"] < 3 and row["bytes"] > 0 for row in found["rows"])
    assert len(found["words"]) == 4
    assert len(found["layers"]) == 4
    assert "<svg" in out.with_suffix(".svg").read_text()
