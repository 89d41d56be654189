from __future__ import annotations

import pytest
import torch

from acwskd_edge.distill.losses import (
    cosine_distance,
    distill,
    fraction_loss,
    label_fractions,
    reverse_gradient,
    segmentation_loss,
)
from acwskd_edge.errors import UsageError


def test_a_perfect_segmentation_costs_nothing() -> None:
    labels = torch.randint(0, 3, (2, 8, 8))
    logits = 50.0 * torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    assert float(segmentation_loss(logits, labels)) == pytest.approx(0, abs=1e-4)


def test_an_all_background_batch_is_defined() -> None:
    logits = torch.zeros(1, 3, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.zeros(1, 4, 4, dtype=torch.int64))
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_fractions_are_the_shares_of_a_cells_area() -> None:
    labels = torch.tensor([[[0, 0, 2, 2], [0, 1, 2, 2]]])
    shares = label_fractions(labels, 3, torch.zeros(1, 1, 1, 2))
    assert shares[0, :, 0].T.tolist() == [[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]]
    with pytest.raises(UsageError, match="a feature of 1x3; allowed: sides that divide the image's 2x4"):
        label_fractions(labels, 3, torch.zeros(1, 1, 1, 3))


def test_the_loss_of_fractions_is_the_segmentation_loss_where_cells_are_pixels() -> None:
    labels, logits = torch.randint(0, 3, (2, 4, 4)), torch.randn(2, 3, 4, 4)
    fractions = label_fractions(labels, 3, logits)
    assert float(fraction_loss(logits, fractions)) == pytest.approx(float(segmentation_loss(logits, labels)), rel=1e-5)


def test_distilling_from_oneself_costs_nothing_and_never_reaches_the_target() -> None:
    target = torch.randn(2, 3, 4, 4, requires_grad=True)
    assert float(distill(target.detach(), target, 2.0)) == pytest.approx(0, abs=1e-6)
    student = torch.randn(2, 3, 4, 4, requires_grad=True)
    distill(student, target, 2.0).backward()
    assert target.grad is None
    assert student.grad is not None


def test_distillation_does_not_depend_on_batch_or_image_size() -> None:
    student, target = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    once = distill(student, target, 3.0)
    more = distill(student.repeat(2, 1, 3, 3), target.repeat(2, 1, 3, 3), 3.0)
    assert float(once) == pytest.approx(float(more), rel=1e-5)


def test_cosine_distance_ignores_scale_and_has_no_gradient_into_the_target() -> None:
    a, b = torch.randn(2, 8, requires_grad=True), torch.randn(2, 8, requires_grad=True)
    assert torch.allclose(cosine_distance(a, 3 * b, (1,)), cosine_distance(2 * a, b, (1,)), atol=1e-6)
    cosine_distance(a, b, (1,)).sum().backward()
    assert b.grad is None


def test_reversal_turns_the_gradient_around() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    (reverse_gradient(x, 0.5) ** 2).backward()
    assert x.grad is not None
    assert float(x.grad) == -2.0
