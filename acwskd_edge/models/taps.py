"""What an objective sees of a network: its logits and the features on the way to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Taps:
    """One forward pass."""

    logits: Tensor  # (B, K, H, W) on the input's grid
    features: list[Tensor]  # decoder features (B, C_i, H_i, W_i), deepest first; the last is the penultimate feature

    @property
    def penultimate(self) -> Tensor:
        """What the main head classifies."""
        return self.features[-1]

    @property
    def middle(self) -> Tensor:
        """The decoder feature half-way up, where an auxiliary head sits."""
        return self.features[middle_of(len(self.features))]


def middle_of(count: int) -> int:
    """Index of `Taps.middle` among `count` features."""
    return (count - 1) // 2


class Tapped(nn.Module):
    """A segmentation network that shows its features; `forward` gives the logits alone."""

    feature_channels: list[int]  # of the features of `taps`, deepest first

    @property
    def deployed(self) -> nn.Module:
        """What is saved and exported."""
        return self

    def taps(self, image: Tensor) -> Taps:
        """(B, C, H, W) -> logits and features of one forward pass."""
        raise NotImplementedError

    def coarse_logits(self, taps: Taps, feature: Tensor) -> Tensor:
        """Main logits (B, K, h, w) averaged over the cells of `feature`, the pooled penultimate feature."""
        return pool(taps.logits, feature)


def pool(tensor: Tensor, like: Tensor) -> Tensor:
    """Average over the cells of the height and width of `like`."""
    if tensor.shape[-2:] == like.shape[-2:]:
        return tensor
    return F.adaptive_avg_pool2d(tensor, (like.shape[-2], like.shape[-1]))


def resize(tensor: Tensor, like: Tensor) -> Tensor:
    """Bilinear, half-pixel centres, to the height and width of `like`."""
    if tensor.shape[-2:] == like.shape[-2:]:
        return tensor
    return F.interpolate(tensor, size=like.shape[-2:], mode="bilinear", align_corners=False)
