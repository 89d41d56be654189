"""What a report says of its subjects, tools and key, besides what was measured."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from acwskd_edge import __version__
from acwskd_edge.machine import versions
from benchmarks.cost import cost_of
from benchmarks.graphcost import graph_macs
from benchmarks.parity import MIDDLE
from benchmarks.rows import grid_of
from benchmarks.subjects import Subject

PACKAGES = tuple(
    (name, name)
    for name in (
        *("torch", "onnxruntime", "ai-edge-litert", "openvino", "coremltools"),
        *("numpy", "opencv-python-headless"),
    )
)


def tools() -> dict[str, str]:
    """Versions of everything that takes part."""
    return {"acwskd-edge": __version__, **versions(PACKAGES)}


def own_command() -> str:
    """The command line as it was typed."""
    return f"python -m benchmarks {shlex.join(sys.argv[1:])}"


def facts_of(subject: Subject, around: dict[str, dict[str, float]]) -> dict[str, Any]:
    """A subject in report.json.

    Args:
        around: milliseconds before and after the network, by io.
    """
    known = subject.contract.provenance
    objective = known.get("objective")
    cost = cost_of(subject.contract)
    counted = graph_count(subject)
    macs = cost["macs"] if cost["macs"] is not None else counted
    return {
        "name": subject.name,
        "role": subject.role,
        "where": str(subject.where),
        "network": known.get("model"),
        "objective": objective.get("name") if isinstance(objective, dict) else None,
        "steps": known.get("steps"),
        "seed": known.get("seed"),
        "code": known.get("code"),
        "grid": grid_of(subject.contract),
        "hashes": subject.hashes(),
        "around_ms": around,
        "parameters": cost["parameters"],
        "macs": macs,
        "flops": None if macs is None else 2 * macs,
        "macs_by": {"flop_counter": cost["macs"], "onnx_graph": counted},
    }


def graph_count(subject: Subject) -> int | None:
    """MACs of the subject's own ONNX fp32 artefact; None where it has none."""
    places = {one.id: one for one in subject.bundle.artefacts} if subject.bundle else {}
    if MIDDLE not in places:
        return None
    assert subject.bundle is not None
    path: Path = subject.bundle.path(places[MIDDLE])
    return graph_macs(path)
