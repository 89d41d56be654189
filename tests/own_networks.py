"""Networks as a user might bring them, good and bad: `own_networks:NAME`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Small(nn.Module):
    """Two resolutions, without batch norm, so that an image's result is its own."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.enter = block(channels, 8)
        self.middle = block(8, 16)
        self.last = block(24, 12)
        self.head = nn.Conv2d(12, classes, 1)

    def decode(self, image: Tensor) -> Tensor:
        fine = self.enter(image)
        coarse = self.middle(F.max_pool2d(fine, 2))
        return self.last(torch.cat([fine, F.interpolate(coarse, scale_factor=2.0)], dim=1))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.decode(image))


def block(cin: int, cout: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.GroupNorm(4, cout), nn.ReLU())


def small(channels: int, classes: int) -> nn.Module:
    return Small(channels, classes)


def by_name(*, out_channels: int, in_channels: int) -> nn.Module:
    return Small(in_channels, out_channels)


class NanGradient(Small):
    """The length of a vector that is zero: a finite loss whose gradient is NaN."""

    def forward(self, image: Tensor) -> Tensor:
        feature = self.decode(image)
        return self.head(feature) + (0 * feature).square().sum(1, keepdim=True).sqrt()


class HalfGrid(Small):
    def forward(self, image: Tensor) -> Tensor:
        return F.max_pool2d(super().forward(image), 2)


class Named(Small):
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"out": super().forward(image)}


class Vector(Small):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.flat, self.pair, self.unused = nn.Flatten(), nn.LSTM(4, 4), nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        self.flat(image)
        self.pair(torch.zeros(1, 1, 4))
        return super().forward(image)


class Tied(Small):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.again = self.head


def picky(channels: int, classes: int) -> nn.Module:
    raise ValueError(f"no net\nfor {classes}")


def no_module(channels: int, classes: int) -> str:
    return "a net"


version = "1"
