"""LiteRT (TensorFlow Lite) on the CPU with its XNNPACK delegate: what the Android and web demos run."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.errors import MissingDependency, UsageError
from acwskd_edge.quiet import quiet_output


def _interpreter_class() -> Any:
    """LiteRT's interpreter, or the one of tflite_runtime, its discontinued predecessor (needs numpy < 2)."""
    for package in ("ai_edge_litert", "tflite_runtime"):
        try:
            return importlib.import_module(f"{package}.interpreter").Interpreter
        except ImportError:
            continue
    raise MissingDependency("runtime litert needs ai_edge_litert", hint="pip install ai-edge-litert")


class LiteRtRuntime:
    """One interpreter; artefacts are NHWC inside, callers see NCHW.

    Integer inputs and outputs that carry a scale (a fully quantised artefact) are mapped from and to float32 here.
    """

    def __init__(self, interpreter: Any, path: Path) -> None:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0]["shape"]) != 4 or min(inputs[0]["shape"]) < 1:
            raise UsageError(
                f"{path} has {len(inputs)} input(s) and {len(outputs)} output(s)",
                allowed="one image (1, h, w, C) in, logits or a mask out",
                hint="convert it again: python -m convert --target tflite",
            )
        self.interpreter, self.path = interpreter, path
        self.input, self.output = inputs[0], outputs[0]
        _, height, width, channels = (int(side) for side in inputs[0]["shape"])
        self.shape = (1, channels, height, width)

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """(1, C, h, w) -> float32 logits (1, K, h, w), or uint8 mask (1, h, w) from a raw artefact.

        Raises:
            UsageError: the batch has another shape than the artefact.
        """
        if batch.shape != self.shape:
            raise UsageError(f"batch of shape {batch.shape} for {self.path}", allowed=str(self.shape))
        values = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        self.interpreter.set_tensor(self.input["index"], _encode(values, self.input))
        self.interpreter.invoke()
        output = _decode(self.interpreter.get_tensor(self.output["index"]), self.output)
        return np.ascontiguousarray(output.transpose(0, 3, 1, 2)) if output.ndim == 4 else output


def _encode(values: NDArray[np.generic], detail: dict[str, Any]) -> NDArray[np.generic]:
    """To the input tensor's dtype, through its scale when it has one."""
    scale, zero = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    if scale == 0 or dtype.kind == "f":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    steps = np.rint(values.astype(np.float32) / np.float32(scale)) + zero
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _decode(values: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.generic]:
    """From the output tensor's dtype: float32 when it has a scale, as it is otherwise."""
    scale, zero = detail["quantization"]
    if scale == 0 or values.dtype.kind == "f":
        return values
    return (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)


def load(path: Path, threads: int) -> LiteRtRuntime:
    """Load a .tflite file onto `threads` cores, XNNPACK applied (the interpreter's default).

    Raises:
        UsageError: no such file, not a TFLite graph, or one that is not ours.
        MissingDependency: neither ai_edge_litert nor tflite_runtime is installed.
    """
    if not path.is_file():
        raise UsageError(f"no TFLite file at {path}", hint="python -m convert --target tflite")
    interpreter_class = _interpreter_class()
    try:
        with quiet_output(replay=False):  # the delegate announces itself; an error becomes ours
            interpreter = interpreter_class(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"{path} cannot be loaded ({error})", allowed="a TFLite graph", hint="copy or convert it again"
        ) from error
    return LiteRtRuntime(interpreter, path)
