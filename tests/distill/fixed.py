"""A network whose taps are given, so that an objective's value can be computed by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from acwskd_edge.models.taps import Tapped, Taps


class Fixed(Tapped):
    """Shows the same logits and features whatever the image."""

    def __init__(self, logits: Tensor, *features: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.features = nn.ParameterList(nn.Parameter(one) for one in features)
        self.feature_channels = [one.shape[1] for one in features]

    def taps(self, image: Tensor) -> Taps:
        return Taps(self.logits, list(self.features))

    def forward(self, image: Tensor) -> Tensor:
        return self.logits


def places(*vectors: tuple[float, ...]) -> Tensor:
    """(1, C, 1, W): one vector per place of a single row."""
    return torch.tensor(vectors).T[None, :, None, :].contiguous()
