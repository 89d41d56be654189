"""What every objective must keep; one short subclass per objective says its name and settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.distill import build_objective
from acwskd_edge.distill.base import Objective
from acwskd_edge.models import build_model
from acwskd_edge.models.unet import UNet
from train.state import Progress, load_state, save_state

CLASSES = 4


def batch(seed: int = 0, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Four 32x32 slices: class k is a brighter box; one class is absent and one slice is all background."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.zeros(4, 32, 32, dtype=torch.int64)
    for i in range(3):
        labels[i, 4 + i : 16 + i, 4:16], labels[i, 18:28, 16 + i : 28] = 1, 2
    labels[labels >= classes] = 0
    images = labels[:, None].float() + 0.2 * torch.randn(4, 1, 32, 32, generator=rng)
    return images, labels


def contract_of(classes: int) -> Contract:
    """Contract of a network on the suite's slices."""
    return Contract(
        name="boxes",
        modality="CT",
        height=32,
        width=32,
        channels=1,
        pixel="int16",
        resize="letterbox",
        intensity=Intensity(-160.0, 240.0, (40.0,), (200.0,)),
        labels=tuple(Label(k, f"class{k}", (k, k, k)) for k in range(classes)),
        spacing=None,
        intended_use="tests",
    )


class ObjectiveContract:
    name: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}

    def settings_for(self, classes: int) -> dict[str, Any]:
        return self.settings

    def build(self, classes: int = CLASSES, seed: int = 0) -> tuple[UNet, Objective]:
        torch.manual_seed(seed)
        network = build_model("s2d16", 1, classes)
        return network, build_objective(self.name, self.settings_for(classes), network, classes)

    def test_loss_and_terms_are_finite_with_an_absent_class_and_an_empty_slice(self) -> None:
        network, objective = self.build()
        for progress in (0.0, 0.5, 1.0):
            loss, terms = objective(network, *batch(), progress)
            assert torch.isfinite(loss)
            assert "seg" in terms
            assert all(torch.isfinite(term) and not term.requires_grad for term in terms.values())

    def test_its_terms_have_the_same_names_at_every_step(self) -> None:
        network, objective = self.build()
        names = [list(objective(network, *batch(), progress)[1]) for progress in (0.0, 0.5, 1.0)]
        assert names[0] == names[1] == names[2]

    def test_an_all_background_batch_is_defined(self) -> None:
        network, objective = self.build()
        for progress in (0.0, 1.0):
            empty = torch.zeros(2, 32, 32, dtype=torch.int64)
            loss, _ = objective(network, torch.randn(2, 1, 32, 32), empty, progress)
            assert torch.isfinite(loss)
            loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)

    def test_a_data_set_of_one_class_is_defined(self) -> None:
        network, objective = self.build(classes=2)
        for progress in (0.0, 1.0):
            loss, _ = objective(network, *batch(classes=2), progress)
            assert torch.isfinite(loss)
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

    def test_a_resumed_run_continues_with_the_very_same_losses(self, tmp_path: Path) -> None:
        def fresh(seed: int) -> tuple[UNet, Objective, torch.optim.Optimizer]:
            network, objective = self.build(seed=seed)
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            return network, objective, torch.optim.AdamW([*network.parameters(), *objective.parameters()], 5e-3)

        def losses(steps: range, network: UNet, objective: Objective, optimizer: torch.optim.Optimizer) -> list[float]:
            found = []
            for step in steps:
                torch.manual_seed(step)
                images, labels = batch(step)
                loss, _ = objective(network, images.contiguous(memory_format=torch.channels_last), labels, step / 5)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                found.append(float(loss.detach()))
            return found

        whole = fresh(0)
        losses(range(3), *whole)
        save_state(tmp_path / "state.safetensors", *whole, Progress())
        resumed = fresh(7)
        load_state(tmp_path / "state.safetensors", *resumed)
        assert losses(range(3, 6), *resumed) == losses(range(3, 6), *whole)


class OfflineContract(ObjectiveContract):
    """For an objective with a teacher."""

    @pytest.fixture(autouse=True)
    def _teacher(self, teacher_run: Callable[[int], Path]) -> None:
        self.teacher_run = teacher_run

    def settings_for(self, classes: int) -> dict[str, Any]:
        return {**self.settings, "teacher": str(self.teacher_run(classes))}

    def test_the_teacher_is_neither_trained_nor_saved(self) -> None:
        network, objective = self.build()
        teacher: nn.Module = objective.teacher  # type: ignore[assignment]
        before = {name: value.clone() for name, value in teacher.state_dict().items()}
        objective.train()
        objective(network, *batch(), 0.5)[0].backward()
        assert not teacher.training
        assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
        assert all(p.grad is None for p in teacher.parameters())
        listed = {id(one) for one in (*objective.parameters(), *objective.buffers())}
        assert not listed & {id(one) for one in (*teacher.parameters(), *teacher.buffers())}
        assert not [name for name in objective.state_dict() if "teacher" in name]

    def test_the_teacher_moves_with_the_objective(self) -> None:
        _, objective = self.build()
        objective.to(torch.float64)
        assert all(p.dtype == torch.float64 for p in objective.teacher.parameters())  # type: ignore[union-attr]
