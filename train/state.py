"""The run folder's state: one safetensors file that holds everything a resumed run needs, written atomically."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from acwskd_edge.errors import RefusedError
from acwskd_edge.files import write_atomic

WEIGHTS = "best.safetensors"
STATE = "state.safetensors"
STEPS = "step"  # AdamW's count, a scalar that stays on the CPU; SGD has none


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0  # steps done
    best_dice: float = -1.0
    best_step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)  # one record per logged step


def save_weights(path: Path, network: nn.Module, model: str) -> None:
    """The deployed weights, with the model's name in the metadata: one entry, because their order is not fixed."""
    tensors = dict(_copies(network))
    write_atomic(path, save(tensors, metadata={"model": model}))


def _copies(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Its tensors, those that a network ties together each on its own, as the format demands."""
    for name, value in module.state_dict().items():
        yield name, value.detach().clone(memory_format=torch.contiguous_format)


def _tensors(
    network: nn.Module, objective: nn.Module, optimizer: torch.optim.Optimizer
) -> Iterator[tuple[str, Tensor]]:
    for part, module in (("network", network), ("objective", objective)):
        for name, value in _copies(module):
            yield f"{part}.{name}", value
    for index, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            for name, value in optimizer.state[parameter].items():
                yield f"optimizer.{index}.{place}.{name}", value.contiguous()


def save_state(
    path: Path,
    network: nn.Module,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Network, training-time modules, optimizer moments and progress."""
    tensors = dict(_tensors(network, objective, optimizer))
    write_atomic(path, save(tensors, metadata={"progress": json.dumps(vars(progress))}))


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """In the parameter's memory order and on its device, as the uninterrupted run had it."""
    return torch.empty_like(parameter).copy_(value)


def load_state(path: Path, network: nn.Module, objective: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put everything back; a run without a state file starts at step 0.

    Raises:
        RefusedError: the file is damaged or belongs to another network.
    """
    if not path.exists():
        return Progress()
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            progress = Progress(**json.loads(stream.metadata()["progress"]))
        for part, module in (("network", network), ("objective", objective)):
            prefix = f"{part}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except (SafetensorError, OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise RefusedError(
            f"cannot resume from {path} ({error})", hint="delete the run folder and train again"
        ) from error
    for index, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            prefix = f"optimizer.{index}.{place}."
            found = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            moments = {k: _like(v, parameter) for k, v in found.items() if k != STEPS}
            optimizer.state[parameter].update(moments | {k: v for k, v in found.items() if k == STEPS})
    return progress
