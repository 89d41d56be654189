from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx_reader_contract import OnnxReaderContract, save

from acwskd_edge import runtimes


class TestOpenVino(OnnxReaderContract):
    runtime = "openvino"


class TestOpenVinoAsItComes(OnnxReaderContract):
    runtime = "openvino-default"


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_exact_and_whoever_pins_the_process_decides(tmp_path: Path, threads: int) -> None:
    compiled = runtimes.load("openvino", save(tmp_path / "m.onnx"), threads).compiled  # type: ignore[attr-defined]
    assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
    assert compiled.get_property("NUM_STREAMS") == 1
    assert not compiled.get_property("ENABLE_CPU_PINNING")


def test_float32_is_forced_and_the_default_is_told(tmp_path: Path) -> None:
    forced = runtimes.load("openvino", save(tmp_path / "m.onnx"))
    left = runtimes.load("openvino-default", save(tmp_path / "m.onnx"))
    assert forced.computes_in == "f32"  # type: ignore[attr-defined]
    assert left.computes_in in ("f32", "bf16", "f16")  # type: ignore[attr-defined]
    batch = np.full((1, 2, 4, 4), 1 + 2**-20, np.float32)  # bfloat16 has 8 bits of it
    np.testing.assert_array_equal(forced(batch), batch / 2)


def test_it_does_not_call_home(tmp_path: Path) -> None:
    runtimes.load("openvino", save(tmp_path / "m.onnx"))
    assert sys.modules["openvino_telemetry"] is None
