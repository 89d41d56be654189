"""A finished run as a frozen teacher, and what every objective with one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acwskd_edge.contract import Contract
from acwskd_edge.distill.base import Objective
from acwskd_edge.errors import ContractError, UsageError
from acwskd_edge.models.taps import Tapped, Taps
from acwskd_edge.runtimes.torch_eager import load_network


@dataclass
class OfflineSettings:
    """What every objective with a teacher must be told."""

    teacher: str = ""  # run folder of the trained teacher, usually the full U-Net's


class Offline(Objective):
    """An objective with a teacher: in eval mode, without gradient, not a parameter and not in the state."""

    teacher: Tapped

    def __init__(self, network: Tapped, classes: int, settings: OfflineSettings, teacher: Tapped) -> None:
        super().__init__()
        self.classes, self.settings = classes, settings
        object.__setattr__(self, "teacher", teacher.eval().requires_grad_(False))  # hidden from nn.Module

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """What `.to(device)` calls; takes the teacher along."""
        self.teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def ask(self, images: Tensor) -> Taps:
        """The teacher's logits and features of a batch (B, C, H, W), without gradient."""
        with torch.no_grad():
            return self.teacher.taps(images)


def load_teacher(folder: str, classes: int, student: Contract | None) -> Tapped:
    """The network of a finished run.

    Args:
        student: contract of the run that will learn from it; None compares the number of classes alone.
    Raises:
        UsageError: no folder given, not a finished run, or weights that cannot be loaded.
        ContractError: the teacher knows other labels, or takes other channels or intensities; names both.
    """
    if not folder:
        raise UsageError(
            "this objective needs a teacher",
            allowed="the folder of a finished run",
            hint="--set objective.teacher=runs/unet",
        )
    run = Path(folder)
    if not (run / "validation.json").is_file():
        raise UsageError(
            f"teacher {folder} is not a finished run", hint=f"python -m train --recipe unet --out {folder}"
        )
    network, theirs = load_network(run / "best.safetensors")
    assert isinstance(network, Tapped)  # a registered model: load_network imports no other
    if student is None:
        compare(folder, "classes", theirs.classes, classes)
    else:
        compare(folder, "labels", names(theirs), names(student))
        compare(folder, "input channels", theirs.channels, student.channels)
        compare(folder, "intensity rule", theirs.intensity, student.intensity)
    return network


def names(contract: Contract) -> str:
    """Label ids and names in one line."""
    return ", ".join(f"{label.id} {label.name}" for label in contract.labels)


def compare(folder: str, what: str, theirs: object, ours: object) -> None:
    """Raise ContractError unless teacher and student agree."""
    if theirs != ours:
        raise ContractError(
            f"teacher {folder} has {what} {theirs}, the student {ours}", hint="train a teacher on the student's data"
        )
