"""OpenVINO as it comes: the float type is its own choice, bfloat16 where the processor has it. To compare, not use."""

from __future__ import annotations

from pathlib import Path

from acwskd_edge.runtimes.openvino import OpenVinoRuntime, compile_model


def load(path: Path, threads: int) -> OpenVinoRuntime:
    """Load an .onnx file onto exactly `threads` threads; raises as `openvino.load`."""
    return compile_model(path, threads, {})
