"""What really executes an artefact: which delegate or provider takes how much of the graph, and with which kernels."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from acwskd_edge.runtimes import Runtime

Coverage = dict[str, Any]
"""engine, covered and total (operations), partitions, whole_graph, outside and kernels (operation -> count)."""


def described(engine: str, kernels: Counter[str], outside: Counter[str], partitions: int | None) -> Coverage:
    """A row's coverage."""
    total = kernels.total() + outside.total()
    return {
        "engine": engine,
        "covered": kernels.total(),
        "total": total,
        "partitions": partitions,
        "whole_graph": not outside and partitions in (1, None),
        "outside": dict(outside.most_common()),
        "kernels": dict(kernels.most_common()),
    }


def of_litert(path: Path, runtime: Runtime) -> Coverage:
    """Partitions of the XNNPACK delegate; whole_graph: one, from the network's input to its output."""
    interpreter = runtime.interpreter  # type: ignore[attr-defined]
    nodes = interpreter._get_ops_details()
    delegates = [one for one in nodes if one["op_name"] == "DELEGATE"]
    others = {one["index"]: one for one in nodes if one["op_name"] != "DELEGATE"}
    producer = {int(out): index for index, one in others.items() for out in one["outputs"]}
    taken: set[int] = set()
    for one in delegates:
        borders, waiting = {int(i) for i in one["inputs"]}, [int(i) for i in one["outputs"]]
        while waiting:
            index = producer.get(waiting.pop())
            if index is not None and index not in taken:
                taken.add(index)
                waiting += [int(i) for i in others[index]["inputs"] if int(i) not in borders]
    inside = Counter(one["op_name"] for index, one in others.items() if index in taken)
    outside = Counter(one["op_name"] for index, one in others.items() if index not in taken)
    return described("XNNPACK", inside, outside, len(delegates))


def of_onnxruntime(path: Path, runtime: Runtime) -> Coverage:
    """Nodes of the optimised graph by provider, from the profile of one run."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.enable_profiling, options.log_severity_level = True, 3
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(None, {runtime.name: np.zeros(runtime.shape, runtime.dtype)})  # type: ignore[attr-defined]
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [one["args"] for one in events if one.get("cat") == "Node" and one["name"].endswith("_kernel_time")]
    providers = Counter(one["provider"] for one in nodes)
    (engine, _), *_ = providers.most_common(1)
    inside = Counter(one["op_name"] for one in nodes if one["provider"] == engine)
    outside = Counter(f"{one['op_name']} ({one['provider']})" for one in nodes if one["provider"] != engine)
    return described(engine, inside, outside, None)


def of_openvino(path: Path, runtime: Runtime) -> Coverage:
    """Layers of the compiled graph with the type each computes in; constants and the ends are no layers."""
    kernels: Counter[str] = Counter()
    for node in runtime.compiled.get_runtime_model().get_ops():  # type: ignore[attr-defined]
        facts = node.get_rt_info()
        kind, precision = facts["layerType"].astype(str), facts["runtimePrecision"].astype(str)
        if kind not in ("Const", "Input", "Output"):
            kernels[f"{kind} {precision}"] += 1
    return described("CPU plugin", kernels, Counter(), None)


def of_coreml(path: Path, runtime: Runtime) -> Coverage | None:
    """Operations of the ML Program, which unit runs them is decided on the device; None from Apple's own runtime."""
    program = getattr(runtime, "program", None)
    if program is None:
        return None
    kernels = Counter(one.kind for one in program.steps)
    return {**described("ML Program", kernels, Counter(), None), "covered": None, "whole_graph": None}


READERS: dict[str, Callable[[Path, Runtime], Coverage | None]] = {
    "litert": of_litert,
    "onnxruntime": of_onnxruntime,
    "openvino": of_openvino,
    "openvino-default": of_openvino,
    "coreml-program": of_coreml,
}


def coverage_of(name: str, path: Path, runtime: Runtime) -> Coverage | None:
    """Of a loaded artefact; None for a runtime that has no parts."""
    reader = READERS.get(name)
    return reader(path, runtime) if reader else None
