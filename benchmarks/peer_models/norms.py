"""Layer norm and group norm over (B, C, H, W), written so that TFLite needs no transposition for them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel, as on tokens (B, H x W, C)."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> same shape."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class GroupNorm(nn.Module):
    """`nn.GroupNorm`: moments of each channel, averaged within the groups by a constant 1x1 convolution."""

    average: Tensor

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        size = channels // groups
        within = torch.kron(torch.eye(groups), torch.full((size, size), 1 / size))
        self.register_buffer("average", within[:, :, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> same shape."""
        centred = x - F.conv2d(x.mean((2, 3), keepdim=True), self.average)
        variance = F.conv2d((centred * centred).mean((2, 3), keepdim=True), self.average)
        return centred * torch.rsqrt(variance + EPSILON) * self.weight + self.bias
