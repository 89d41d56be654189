"""A teacher as a finished run leaves it: trained on the contract suite's slices in seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from objective_contract import batch, contract_of

from acwskd_edge.distill.losses import segmentation_loss
from acwskd_edge.files import write_json
from acwskd_edge.models import build_model
from train.state import save_weights


@pytest.fixture(scope="session")
def teacher_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Number of classes -> folder of a finished run of unet8."""

    @cache
    def run(classes: int) -> Path:
        torch.manual_seed(1)
        network = build_model("unet8", 1, classes)
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        images, labels = batch(classes=classes)
        for _ in range(40):
            optimizer.zero_grad()
            segmentation_loss(network(images), labels).backward()
            optimizer.step()
        folder = tmp_path_factory.mktemp("teacher")
        save_weights(folder / "best.safetensors", network, "unet8")
        (folder / "contract.json").write_text(contract_of(classes).to_json())
        write_json(folder / "validation.json", {})
        return folder

    return run
