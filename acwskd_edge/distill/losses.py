"""The losses every objective is made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy + soft Dice over the foreground classes present in the batch.

    Args:
        logits: (B, K, H, W), any float dtype; computed in float32.
        labels: (B, H, W) int64.
    """
    classes = logits.shape[1]
    log_probability = logits.float().log_softmax(dim=1)
    entropy = F.nll_loss(log_probability, labels)
    probability = log_probability.exp()
    flat = labels.flatten()
    size = torch.bincount(flat, minlength=classes).to(probability.dtype)
    inside = probability.gather(1, labels[:, None]).flatten()
    overlap = torch.zeros(classes, device=logits.device).index_add(0, flat, inside)
    dice = 2 * overlap / (probability.sum(dim=(0, 2, 3)) + size + 1e-6)
    present = size > 0
    present[0] = False
    count = present.sum()
    # An all-background batch has no Dice term.
    return entropy + torch.where(count > 0, 1 - (dice * present).sum() / count.clamp(min=1), 0.0)


def cosine_distance(student: Tensor, target: Tensor, dims: tuple[int, ...]) -> Tensor:
    """1 - cos over `dims`: half the squared distance of the L2-normalised tensors; no gradient into `target`.

    Over a whole feature map rather than per pixel: behind a ReLU many pixels are zero vectors without a direction.
    """
    ours, theirs = student.float(), target.detach().float()
    norms = ours.square().sum(dims) * theirs.square().sum(dims)
    return 1 - (ours * theirs).sum(dims) * (norms + 1e-12).rsqrt()


def distill(logits: Tensor, target: Tensor, temperature: Tensor | float) -> Tensor:
    """T^2 KL(softmax(target/T) || softmax(logits/T)) per pixel, averaged (Hinton et al. 2015); `target` is fixed.

    Args:
        logits, target: (B, K, H, W).
    """
    wanted = (target.detach().float() / temperature).log_softmax(dim=1)
    given = (logits.float() / temperature).log_softmax(dim=1)
    divergence = (wanted.exp() * (wanted - given)).sum(dim=1).mean()
    return divergence * temperature**2


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, value: Tensor, strength: float) -> Tensor:
        ctx.strength = strength  # type: ignore[attr-defined]
        return value.view_as(value)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * grads[0], None  # type: ignore[attr-defined]


def reverse_gradient(value: Tensor, strength: float) -> Tensor:
    """Identity forward, -strength times the gradient backward (Ganin & Lempitsky 2015)."""
    result: Tensor = _Reverse.apply(value, strength)  # type: ignore[no-untyped-call]
    return result
