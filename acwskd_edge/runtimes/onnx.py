"""ONNX Runtime on the CPU: the reference for latency and the gate of the `onnx` target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from acwskd_edge.errors import UsageError

DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int16)": "int16"}
ERRORS_ONLY = 3


class OnnxRuntime:
    """One session; call it with (1, C, h, w), it casts to the graph's own input dtype."""

    def __init__(self, session: ort.InferenceSession, path: Path) -> None:
        inputs, self.path = session.get_inputs(), path
        if len(inputs) != 1 or inputs[0].type not in DTYPES or not all(isinstance(d, int) for d in inputs[0].shape):
            found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
            raise UsageError(
                f"{path} takes {found or 'no input'}",
                allowed="one image of static shape, float32, uint8 or int16",
                hint="convert it again: python -m convert --target onnx",
            )
        self.session, self.name = session, inputs[0].name
        self.shape, self.dtype = tuple(inputs[0].shape), np.dtype(DTYPES[inputs[0].type])

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """(1, C, h, w) -> float32 logits (1, K, h, w), or uint8 mask (1, h, w) from a raw artefact.

        Raises:
            UsageError: the batch has another shape than the artefact.
        """
        if batch.shape != self.shape:
            raise UsageError(f"batch of shape {batch.shape} for {self.path}", allowed=str(self.shape))
        output = self.session.run(None, {self.name: batch.astype(self.dtype, copy=False)})[0]
        return np.asarray(output)


def load(path: Path, threads: int) -> OnnxRuntime:
    """Load an .onnx file onto exactly `threads` cores, idle ones asleep (no spinning).

    Raises:
        UsageError: no such file, not an ONNX graph, or one that is not ours.
    """
    if not path.is_file():
        raise UsageError(f"no ONNX file at {path}", hint="python -m convert --target onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class
        raise UsageError(
            f"{path} cannot be loaded ({error})", allowed="an ONNX graph", hint="copy or convert it again"
        ) from error
    return OnnxRuntime(session, path)
