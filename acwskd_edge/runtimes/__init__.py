"""Runtimes: load an artefact, then numpy in, numpy out. The gate, benchmark, verify and predict know only this.

Each runtime is one module with `load(path, threads) -> Runtime`; adding one is a file and a line in `RUNTIMES`.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.errors import MissingDependency, UsageError


class Runtime(Protocol):
    """A loaded artefact, batch of one.

    io `tensor`: float32 (1, C, h, w), normalised -> float32 logits (1, K, h, w).
    io `raw`: pixels (1, C, h, w) of the contract's dtype -> uint8 mask (1, h, w).
    Layout and dtype of the artefact itself (NHWC, float32 or int32 pixels) are the runtime's business.
    """

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """One forward pass."""
        ...


class RuntimeModule(Protocol):
    """What a module in this folder offers."""

    def load(self, path: Path, threads: int) -> Runtime:
        """Load an artefact; `threads` is exact."""
        ...


@dataclass(frozen=True)
class RuntimeEntry:
    """Where a runtime lives and what brings it."""

    module: str
    install: str  # the command that installs what it needs
    timed: bool  # False: executes for correctness only, its latency says nothing


TORCH_TENSORRT = "pip install torch-tensorrt (with the torch of its release), on an NVIDIA GPU"

RUNTIMES: dict[str, RuntimeEntry] = {
    "torch": RuntimeEntry("acwskd_edge.runtimes.torch_eager", "pip install torch safetensors", True),
    "torch-compile": RuntimeEntry(
        "acwskd_edge.runtimes.torch_compile", "pip install torch safetensors; sudo apt-get install g++", True
    ),
    "onnxruntime": RuntimeEntry("acwskd_edge.runtimes.onnx", "pip install onnxruntime", True),
    "litert": RuntimeEntry("acwskd_edge.runtimes.litert", "pip install ai-edge-litert", True),
    "openvino": RuntimeEntry("acwskd_edge.runtimes.openvino", "pip install openvino", True),
    "openvino-default": RuntimeEntry("acwskd_edge.runtimes.openvino_default", "pip install openvino", True),
    "coreml-program": RuntimeEntry(
        "acwskd_edge.runtimes.coreml_program", "pip install coremltools torch", sys.platform == "darwin"
    ),
    "tensorrt-graph": RuntimeEntry("acwskd_edge.runtimes.onnx", "pip install onnxruntime", False),
    "tensorrt": RuntimeEntry("acwskd_edge.runtimes.tensorrt", "sudo apt-get install python3-libnvinfer-dev", True),
    "torch-tensorrt": RuntimeEntry("acwskd_edge.runtimes.torch_tensorrt", TORCH_TENSORRT, True),
}


def load(name: str, path: str | Path, threads: int = 1) -> Runtime:
    """Load an artefact.

    Raises:
        UsageError: no such runtime, or a file it cannot read.
        MissingDependency: a package it needs is not installed here.
    """
    if name not in RUNTIMES:
        raise UsageError(f"unknown runtime {name!r}", allowed=", ".join(RUNTIMES))
    entry = RUNTIMES[name]
    try:
        module = cast(RuntimeModule, importlib.import_module(entry.module))
    except ImportError as error:
        raise MissingDependency(f"runtime {name} cannot be imported ({error})", hint=entry.install) from error
    return module.load(Path(path), threads)
