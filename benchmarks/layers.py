"""Where ONNX Runtime's time goes in an artefact, kernel by kernel, by its own profiler."""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import Any

RUNS = 40
CONVOLUTIONS = ("Conv", "FusedConv", "QLinearConv", "ConvTranspose")
MOVING = (
    *("ReorderInput", "ReorderOutput", "Transpose", "Concat", "QLinearConcat", "QuantizeLinear"),
    *("DequantizeLinear", "Cast", "Reshape", "Slice", "Pad", "Split"),
)


def profile(name: str, path: Path) -> dict[str, Any]:
    """Median microseconds of every kernel of an .onnx artefact, with its MACs, and the sums in words under its name."""
    from benchmarks.traffic import operations

    kernels = kernels_of(path)
    weighted = [one for one in operations(path) if one.macs]
    convolutions = [one for one in kernels if one["kind"] in CONVOLUTIONS]
    if len(weighted) == len(convolutions):  # both in order of execution
        for kernel, work in zip(convolutions, weighted, strict=True):
            kernel |= {"macs": work.macs, "gmacs": round(work.macs / max(kernel["us"], 1) / 1e3, 2)}
    return {"artefact": name, "kernels": kernels, "words": words(name, kernels)}


def kernels_of(path: Path) -> list[dict[str, Any]]:
    """Executed kernels in order: operator, output shape, median microseconds."""
    import numpy as np
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        image = np.random.default_rng(0).normal(size=given.shape).astype(np.float32)
        for _ in range(RUNS):
            session.run(None, {given.name: image})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    spent: dict[str, list[float]] = defaultdict(list)
    kernels: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            found = event["args"]
            spent[event["name"]].append(event["dur"])
            shape = next(iter(found["output_type_shape"][0].values())) if found["output_type_shape"] else []
            kernels[event["name"]] = {
                "name": event["name"].removesuffix("_kernel_time"),
                "kind": found["op_name"],
                "output": shape,
            }
    return [{**kernel, "us": round(median(spent[name]), 1)} for name, kernel in kernels.items()]


def words(name: str, kernels: list[dict[str, Any]]) -> list[str]:
    """Shares of the kernels' time, and the slowest convolutions."""
    total = sum(one["us"] for one in kernels)
    shares: Counter[str] = Counter()
    for one in kernels:
        kind = (
            "convolutions" if one["kind"] in CONVOLUTIONS else "moving data" if one["kind"] in MOVING else one["kind"]
        )
        shares[kind] += one["us"]
    parts = ", ".join(f"{what} {us / total:.0%}" for what, us in shares.most_common(6))
    lines = [f"{name}: {total / 1e3:.2f} ms in kernels: {parts}"]
    rated = [one for one in kernels if "gmacs" in one]
    if rated:
        macs, spent = sum(one["macs"] for one in rated), sum(one["us"] for one in rated)
        slow = sorted(rated, key=lambda one: -one["us"])[:3]
        shown = "; ".join(
            f"{one['kind']} to {'x'.join(map(str, one['output'][1:]))}: {one['us'] / total:.0%} of the time, "
            f"{one['macs'] / 1e6:.0f} MMACs at {one['gmacs']:.0f} GMAC/s"
            for one in slow
        )
        lines.append(f"  convolutions at {macs / spent / 1e3:.0f} GMAC/s on average; longest: {shown}")
    return lines
