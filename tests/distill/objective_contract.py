"""What every objective must keep; one short subclass per objective says its name and settings."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from acwskd_edge.distill import build_objective
from acwskd_edge.models import build_model
from acwskd_edge.models.unet import UNet

CLASSES = 4


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Four 32x32 slices: class k is a brighter box; one class is absent and one slice is all background."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.zeros(4, 32, 32, dtype=torch.int64)
    for i in range(3):
        labels[i, 4 + i : 16 + i, 4:16], labels[i, 18:28, 16 + i : 28] = 1, 2
    images = labels[:, None].float() + 0.2 * torch.randn(4, 1, 32, 32, generator=rng)
    return images, labels


class ObjectiveContract:
    name: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}

    def build(self) -> tuple[UNet, nn.Module]:
        torch.manual_seed(0)
        network = build_model("s2d16", 1, CLASSES)
        return network, build_objective(self.name, self.settings, network, CLASSES)

    def test_loss_and_terms_are_finite_with_an_absent_class_and_an_empty_slice(self) -> None:
        network, objective = self.build()
        for progress in (0.0, 0.5, 1.0):
            loss, terms = objective(network, *batch(), progress)
            assert torch.isfinite(loss)
            assert "seg" in terms
            assert all(torch.isfinite(term) for term in terms.values())

    def test_an_all_background_batch_is_defined(self) -> None:
        network, objective = self.build()
        loss, _ = objective(network, torch.randn(2, 1, 32, 32), torch.zeros(2, 32, 32, dtype=torch.int64), 1.0)
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)

    def test_every_deployed_parameter_learns(self) -> None:
        network, objective = self.build()
        objective(network, *batch(), 0.5)[0].backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())

    def test_it_overfits_four_slices(self) -> None:
        network, objective = self.build()
        optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], 5e-3)
        images, labels = batch()
        for step in range(60):
            optimizer.zero_grad()
            objective(network, images, labels, step / 59)[0].backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            agreement = (network(images).argmax(1) == labels).float().mean()
        assert agreement > 0.97

    def test_its_modules_never_enter_the_network(self) -> None:
        network, _ = self.build()
        assert network.state_dict().keys() == build_model("s2d16", 1, CLASSES).state_dict().keys()
