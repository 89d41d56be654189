"""Checkpoint -> the graph that ships: backbone and main head, nothing of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from acwskd_edge.contract import Contract
from acwskd_edge.errors import RefusedError
from convert.layers import Layer, layers_of

T = TypeVar("T")
MIXED = "mixed"  # the precision of an artefact that is int8 but for its most sensitive layers

Tail = Callable[[Tensor, int], Tensor]
"""Logits with the classes along an axis -> mask without that axis."""


def argmax(logits: Tensor, dim: int) -> Tensor:
    """The uint8 mask, lowest id on a tie; of all exact tails the fastest, see `python -m benchmarks.tails`."""
    return logits.argmax(dim).to(torch.uint8)


class RawGraph(nn.Module):
    """Pixels in, mask out: the contract's intensity rule before the network and the argmax behind it.

    Input (1, C, h, w) pixels on the network's grid, any real dtype; output uint8 mask (1, h, w).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, contract: Contract, tail: Tail = argmax) -> None:
        super().__init__()
        self.network, self.tail = network, tail
        self.low, self.high = contract.intensity.low, contract.intensity.high
        shape = (1, contract.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(contract.intensity.mean).reshape(shape))
        self.register_buffer("std", torch.tensor(contract.intensity.std).reshape(shape))

    def normalise(self, pixels: Tensor) -> Tensor:
        """The contract's intensity rule, (1, C, h, w) -> float32 of the same shape."""
        return (pixels.float().clamp(self.low, self.high) - self.mean) / self.std

    def forward(self, pixels: Tensor) -> Tensor:
        """(1, C, h, w) -> (1, h, w) uint8."""
        return self.tail(self.network(self.normalise(pixels)), 1)


@dataclass(frozen=True)
class Job:
    """One artefact to emit: the graph, what it eats, how precise it must be, and where it goes."""

    network: nn.Module  # eval mode, float32: normalised (1, C, h, w) -> logits (1, K, h, w)
    contract: Contract
    precision: str  # one of the target's precisions
    io: str  # tensor: normalised float32 in, logits out; raw: pixels in, mask out
    calibration: list[NDArray[np.generic]]  # for int8: pixels (h, w, C) of training images on the network's grid
    folder: Path  # existing; the artefact is written directly into it
    keep: tuple[str, ...] = ()  # int8 only: layers that stay in the format's float, besides the first and the last
    shared: dict[str, Any] = field(default_factory=dict)  # traces and ranges; one dict for all jobs of a target and io

    def once(self, what: str, make: Callable[[], T]) -> T:
        """What `make` gives, from the first job that asked among those that share; nobody may change it."""
        if what not in self.shared:
            self.shared[what] = make()
        return self.shared[what]

    @property
    def layers(self) -> list[Layer]:
        """The network's convolutions in order of execution."""
        return self.once("layers", lambda: layers_of(self.network, self.shape))

    @property
    def graph(self) -> nn.Module:
        """The module to trace for this io."""
        return RawGraph(self.network, self.contract).eval() if self.io == "raw" else self.network

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(1, C, h, w)."""
        return 1, self.contract.channels, self.contract.height, self.contract.width

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return f"model.{self.label}" + (".raw" if self.io == "raw" else "")

    @property
    def label(self) -> str:
        """The precision as the artefact bears it: `mixed` for an int8 that keeps layers."""
        return MIXED if self.keep else self.precision


def unconvertible(tool: str, error: Exception) -> RefusedError:
    """A converter's failure on a network, as one line."""
    reason = next(iter(str(error).strip().splitlines()), "")[:200]
    return RefusedError(
        f"{tool} cannot convert the network ({type(error).__name__}: {reason})",
        hint="python -m convert.lint names the layer",
    )
