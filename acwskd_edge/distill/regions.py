"""Features by the regions of a label map: what IFVD and EMKD compare."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def labels_on(labels: Tensor, feature: Tensor) -> Tensor:
    """(B, H, W) int64 -> the label of every place of a feature (B, C, h, w), nearest neighbour."""
    size = (feature.shape[-2], feature.shape[-1])
    return F.interpolate(labels[:, None].float(), size=size, mode="nearest")[:, 0].long()


def class_means(feature: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mean feature vector of each class of each image.

    Args:
        feature: (B, C, h, w); labels: (B, h, w) int64 on the same grid.
    Returns:
        means (B, K, C) float32, zeros where a class is absent; and the places of each class (B, K) float32.
    """
    member = F.one_hot(labels.flatten(1), classes).float()  # (B, N, K)
    count = member.sum(dim=1)
    with torch.autocast(feature.device.type, enabled=False):  # it would round the sums to bfloat16
        total = torch.einsum("bnk,bcn->bkc", member, feature.float().flatten(2))
    return total / count.clamp(min=1)[..., None], count
