"""OpenVINO on the CPU, reading ONNX artefacts: what Intel processors run best.

Left to itself OpenVINO computes a float32 graph in bfloat16 wherever the processor has it, and says nothing. `load`
asks for float32; `openvino_default.load` does not, so that a benchmark can show both.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.errors import UsageError

# Reading a graph, OpenVINO would report it to Google Analytics from a forked process; without this module it cannot.
sys.modules.setdefault("openvino_telemetry", cast(Any, None))
import openvino as ov  # noqa: E402

PRECISION = "INFERENCE_PRECISION_HINT"


class OpenVinoRuntime:
    """One compiled model and one request; call it with (1, C, h, w), it casts to the graph's own input dtype."""

    def __init__(self, compiled: Any, path: Path) -> None:
        inputs, outputs, self.path = compiled.inputs, compiled.outputs, path
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].partial_shape.is_dynamic or len(inputs[0].shape) != 4:
            raise UsageError(
                f"{path} takes {', '.join(str(one.partial_shape) for one in inputs) or 'no input'}",
                allowed="one image of static shape in, logits or a mask out",
                hint="convert it again: python -m convert --target onnx",
            )
        self.compiled, self.request = compiled, compiled.create_infer_request()
        self.shape: tuple[int, ...] = tuple(inputs[0].shape)
        self.dtype = np.dtype(inputs[0].element_type.to_dtype())

    @property
    def computes_in(self) -> str:
        """The float type the network is computed in: f32 or, if it was left to choose, perhaps bf16."""
        return str(self.compiled.get_property(PRECISION).get_type_name())

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """(1, C, h, w) -> float32 logits (1, K, h, w), or uint8 mask (1, h, w) from a raw artefact.

        Raises:
            UsageError: the batch has another shape than the artefact.
        """
        if batch.shape != self.shape:
            raise UsageError(f"batch of shape {batch.shape} for {self.path}", allowed=str(self.shape))
        values = np.ascontiguousarray(batch, dtype=self.dtype)
        return np.array(self.request.infer([values], share_inputs=True)[0])


def load(path: Path, threads: int) -> OpenVinoRuntime:
    """Load an .onnx file onto exactly `threads` threads, computed in float32 (an int8 graph's integer part in int8).

    Raises:
        UsageError: no such file, not an ONNX graph, or one that is not ours.
    """
    return compile_model(path, threads, {PRECISION: "f32"})


def compile_model(path: Path, threads: int, properties: dict[str, str]) -> OpenVinoRuntime:
    """As `load`, with properties of the reader's choice."""
    if not path.is_file():
        raise UsageError(f"no ONNX file at {path}", hint="python -m convert --target onnx")
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # whoever pins the process decides
        **properties,
    }
    core = ov.Core()
    try:
        compiled = core.compile_model(core.read_model(path), "CPU", settings)
    except Exception as error:  # openvino raises RuntimeError and types of its own
        raise UsageError(
            f"{path} cannot be loaded ({str(error)[:300]})", allowed="an ONNX graph", hint="copy or convert it again"
        ) from error
    return OpenVinoRuntime(compiled, path)
