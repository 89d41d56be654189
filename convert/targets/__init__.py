"""Targets: ways to emit an artefact. Adding one is a module with `emit(job) -> Path` and an entry here."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from acwskd_edge.errors import MissingDependency, UsageError

if TYPE_CHECKING:
    from convert.export import Job


@dataclass(frozen=True)
class Target:
    """What is known of a target without importing its tools."""

    name: str
    precisions: tuple[str, ...]
    runtime: str  # a key of acwskd_edge.runtimes.RUNTIMES: what executes the artefact here
    packages: tuple[tuple[str, str], ...]  # (import name, what to pip install)
    module: str = ""  # in this package, if not the target's own name
    kit: bool = False  # the artefact is a graph from which an engine is built elsewhere; not among `all`

    def preflight(self, precision: str) -> None:
        """Check that this precision is legal and every tool is present.

        Raises:
            UsageError: illegal precision; names the legal ones.
            MissingDependency: names the package and the install command.
        """
        if precision not in self.precisions:
            raise UsageError(f"precision {precision!r} for target {self.name}", allowed=", ".join(self.precisions))
        for module, package in self.packages:
            if importlib.util.find_spec(module) is None:
                raise MissingDependency(f"target {self.name} needs {package}", hint=f"pip install {package}")

    def emit(self, job: Job) -> Path:
        """Write the artefact into `job.folder` and return its path (a file, or a folder for Core ML)."""
        path: Path = importlib.import_module(f"convert.targets.{self.module or self.name}").emit(job)
        return path


ONNX = (("onnx", "onnx"), ("onnxscript", "onnxscript"), ("onnxruntime", "onnxruntime"), ("onnxsim", "onnxsim"))
RTX = (("tensorrt_rtx_bindings", "tensorrt_rtx_cu12_bindings"), ("tensorrt_rtx_libs", "tensorrt_rtx_cu12_libs"))

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("onnx", ("fp32", "fp16", "int8"), "onnxruntime", ONNX),
        Target(
            "tflite",
            ("fp32", "fp16", "int8"),
            "litert",
            (
                ("litert_torch", "litert-torch"),
                ("ai_edge_quantizer", "ai-edge-quantizer"),
                ("ai_edge_litert", "ai-edge-litert"),
            ),
        ),
        Target(
            "coreml",
            ("fp32", "fp16", "int8", "w8", "palette6", "palette4"),
            "coreml-program",
            (("coremltools", "coremltools"),),
        ),
        Target("jetson", ("fp32", "fp16", "int8"), "tensorrt-graph", ONNX, kit=True),
        Target("rtx", ("fp32", "fp16", "int8"), "tensorrt-graph", (*ONNX, *RTX), module="jetson", kit=True),
    )
}

ALL = [target.name for target in TARGETS.values() if not target.kit]


def find_target(name: str) -> Target:
    """Look a target up.

    Raises:
        UsageError: no such target.
    """
    if name not in TARGETS:
        raise UsageError(f"unknown target {name!r}", allowed=", ".join([*TARGETS, "all"]))
    return TARGETS[name]
