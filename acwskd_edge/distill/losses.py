"""The losses every objective is made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from acwskd_edge.errors import UsageError


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy + soft Dice over the foreground classes present in the batch.

    Args:
        logits: (B, K, H, W), any float dtype; computed in float32.
        labels: (B, H, W) int64.
    """
    classes = logits.shape[1]
    log_probability = logits.float().contiguous().log_softmax(dim=1)
    entropy = F.nll_loss(log_probability, labels)
    probability = log_probability.exp()
    flat = labels.flatten()
    inside = probability.gather(1, labels[:, None]).flatten()
    overlap = sum_by_class(inside, flat, classes)
    size = sum_by_class(torch.ones_like(inside), flat, classes)
    return entropy + dice_loss(overlap, probability.sum(dim=(0, 2, 3)), size)


def sum_by_class(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Values (N,) summed over the elements of each class, (K,); unlike bincount it does not make a GPU wait."""
    return values.new_zeros(classes).index_add(0, labels, values)


def fraction_loss(logits: Tensor, fractions: Tensor) -> Tensor:
    """`segmentation_loss` on a grid coarser than the labels': each cell's truth is the classes' shares of its area.

    Args:
        logits, fractions: (B, K, h, w); the fractions of a cell add up to 1.
    """
    log_probability = logits.float().contiguous().log_softmax(dim=1)
    entropy = -(fractions * log_probability).sum(dim=1).mean()
    probability = log_probability.exp()
    overlap = (probability * fractions).sum(dim=(0, 2, 3))
    return entropy + dice_loss(overlap, probability.sum(dim=(0, 2, 3)), fractions.sum(dim=(0, 2, 3)))


def dice_loss(overlap: Tensor, given: Tensor, wanted: Tensor) -> Tensor:
    """1 - mean soft Dice over the foreground classes that are wanted; 0 if none is.

    Args:
        overlap, given, wanted: (K,) sums over a batch: p y, p and y.
    """
    dice = 2 * overlap / (given + wanted + 1e-6)
    present = wanted > 0
    present[0] = False
    count = present.sum()
    return torch.where(count > 0, 1 - (dice * present).sum() / count.clamp(min=1), 0.0)


def label_fractions(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """Labels (B, H, W) -> (B, K, h, w) float32, the classes' shares of each cell of the grid of `like`.

    Raises:
        UsageError: the cells do not divide the image.
    """
    (images, height, width), (rows, columns) = labels.shape, like.shape[-2:]
    if height % rows or width % columns:
        raise UsageError(f"a feature of {rows}x{columns}", allowed=f"sides that divide the image's {height}x{width}")
    cells = labels.reshape(images, rows, height // rows, columns, width // columns)
    cells = cells.permute(0, 2, 4, 1, 3).reshape(images, -1, rows, columns)
    share = torch.full(cells.shape, 1 / cells.shape[1], device=labels.device)
    return torch.zeros(images, classes, rows, columns, device=labels.device).scatter_add_(1, cells, share)


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


def attention(feature: Tensor, power: int) -> Tensor:
    """(B, C, h, w) -> (B, h w): channel mean of F^power, of unit length (Zagoruyko & Komodakis 2017)."""
    return F.normalize(feature.float().pow(power).mean(dim=1).flatten(1), dim=1)


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
