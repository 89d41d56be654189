"""Checkpoint -> the graph that ships: backbone and main head, nothing of training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from acwskd_edge.contract import Contract


class RawGraph(nn.Module):
    """Pixels in, mask out: the contract's intensity rule before the network and the argmax behind it.

    Input (1, C, h, w) pixels on the network's grid, any real dtype; output uint8 mask (1, h, w).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, contract: Contract) -> None:
        super().__init__()
        self.network = network
        self.low, self.high = contract.intensity.low, contract.intensity.high
        shape = (1, contract.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(contract.intensity.mean).reshape(shape))
        self.register_buffer("std", torch.tensor(contract.intensity.std).reshape(shape))

    def normalise(self, pixels: Tensor) -> Tensor:
        """The contract's intensity rule, (1, C, h, w) -> float32 of the same shape."""
        return (pixels.float().clamp(self.low, self.high) - self.mean) / self.std

    def forward(self, pixels: Tensor) -> Tensor:
        """(1, C, h, w) -> (1, h, w) uint8."""
        return self.network(self.normalise(pixels)).argmax(dim=1).to(torch.uint8)


@dataclass(frozen=True)
class Job:
    """One artefact to emit: the graph, what it eats, how precise it must be, and where it goes."""

    network: nn.Module  # eval mode, float32: normalised (1, C, h, w) -> logits (1, K, h, w)
    contract: Contract
    precision: str  # fp32, fp16, int8
    io: str  # tensor: normalised float32 in, logits out; raw: pixels in, mask out
    calibration: list[NDArray[np.generic]]  # for int8: pixels (h, w, C) of training images on the network's grid
    folder: Path  # existing; the artefact is written directly into it

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
        return f"model.{self.precision}" + (".raw" if self.io == "raw" else "")
