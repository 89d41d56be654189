"""Networks with random weights as artefacts of our own converters: what peers, roofline and search time.

Latency does not depend on the weights' values, so nothing is trained; batch norm and int8 ranges are set on noise.
Artefacts stay in a folder, so that a killed measurement does not convert again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from acwskd_edge import runtimes
from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.errors import AcwskdError, UsageError
from acwskd_edge.files import write_json
from acwskd_edge.machine import versions
from acwskd_edge.models import build_model, import_factory, is_factory
from acwskd_edge.preprocess import normalise
from acwskd_edge.quiet import quiet_output
from benchmarks.cost import macs, parameters
from convert.export import Job, unconvertible
from convert.targets import TARGETS, find_target

EMITTERS = {"onnxruntime": "onnx", "litert": "tflite"}  # runtime -> the target that emits for it
PRECISIONS = ("fp32", "fp16", "int8")
IMAGES = 4  # of noise

Kind = tuple[str, str]
"""Runtime and precision."""


def kinds_of(text: str) -> list[Kind]:
    """`litert:int8,onnxruntime:fp32` -> pairs of runtime and precision.

    Raises:
        UsageError: anything else.
    """
    legal = [f"{runtime}:{precision}" for runtime in EMITTERS for precision in PRECISIONS]
    words = [word.strip() for word in text.split(",") if word.strip()]
    if odd := [word for word in words if word not in legal]:
        raise UsageError(f"--runtimes {odd[0]}", allowed=", ".join(legal))
    if not words:
        raise UsageError("--runtimes names nothing", allowed=", ".join(legal))
    return [(runtime, precision) for runtime, _, precision in (word.partition(":") for word in words)]


def blank_contract(channels: int, classes: int, size: int) -> Contract:
    """A contract of no data set: pixels of one byte, normalised as usual."""
    labels = tuple(Label(k, f"class {k}", (0, 0, 0)) for k in range(classes))
    norm = Intensity(0.0, 255.0, (127.5,) * channels, (73.9,) * channels)
    return Contract("noise", "MR", size, size, channels, "uint8", "letterbox", norm, labels, None, "none")


def noise(contract: Contract) -> list[NDArray[np.generic]]:
    """Seeded images (h, w, C)."""
    shape = (IMAGES, contract.height, contract.width, contract.channels)
    return list(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def built(model: str, contract: Contract) -> nn.Module:
    """A model of the registry or of `package.module:factory`, seeded, batch norm settled on noise, eval mode."""
    torch.manual_seed(0)
    make = import_factory(model) if is_factory(model) else lambda c, k: build_model(model, c, k)
    network = make(contract.channels, contract.classes)
    with torch.no_grad():
        network.train()(torch.from_numpy(np.concatenate([normalise(one, contract) for one in noise(contract)])))
    return network.eval()


def emit(
    model: str, contract: Contract, kinds: Sequence[Kind], folder: Path, make: Callable[[], nn.Module] | None = None
) -> tuple[dict[str, Any], dict[Kind, Path | str]]:
    """Emit what is not there yet.

    Args:
        folder: of this model on this grid; holds the artefacts and `facts.json`.
        make: the network, where the model's name alone does not say it.
    Returns:
        facts: parameters and MACs of the network; artefacts: a path, or why there is none, for every kind.
    """
    facts_file = folder / "facts.json"
    known = json.loads(facts_file.read_text(encoding="utf-8")) if facts_file.is_file() else {}
    tools = versions(tuple(one for target in EMITTERS.values() for one in TARGETS[target].packages))
    key = {"model": model, "contract": contract.to_json(), "versions": tools}
    if any(known.get(name) != value for name, value in key.items()):
        known = {}
    there = bool(known)
    refused: dict[str, str] = known.get("refused", {})
    found: dict[Kind, Path | str] = {}
    network: nn.Module | None = None
    shared: dict[str, dict[str, Any]] = {target: {} for target in EMITTERS.values()}
    for runtime, precision in kinds:
        name, target = f"{runtime}:{precision}", EMITTERS[runtime]
        path = folder / f"model.{precision}.{target}"
        if there and (path.is_file() or name in refused):
            found[runtime, precision] = refused.get(name, path)
            continue
        if network is None:
            network = make() if make else built(model, contract)
            folder.mkdir(parents=True, exist_ok=True)
            counted = macs(network, contract.channels, contract.height, contract.width)
            known = {**key, "parameters": parameters(network), "macs": counted, "refused": refused}
        calibration = noise(contract) if precision == "int8" else []
        job = Job(network, contract, precision, "tensor", calibration, folder, shared=shared[target])
        outcome = emitted(job, target)
        if isinstance(outcome, str):
            refused[name] = outcome
        found[runtime, precision] = outcome
        write_json(facts_file, known)
    return {name: known[name] for name in ("parameters", "macs")}, found


def emitted(job: Job, target: str) -> Path | str:
    """The artefact, or why the target refuses the network."""
    try:
        with quiet_output(replay=False):
            return find_target(target).emit(job)
    except AcwskdError as error:
        return error.what
    except Exception as error:  # a converter's failure on a foreign network is a result
        return unconvertible(target, error).what


def forward(path: Path, kind: Kind, contract: Contract) -> Callable[[], object]:
    """One forward pass on noise, one thread."""
    runtime = runtimes.load(kind[0], path, threads=1)
    batch = normalise(noise(contract)[0], contract)
    return lambda: runtime(batch)
