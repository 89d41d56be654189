from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from acwskd_edge import runtimes
from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.errors import ContractError, UsageError
from acwskd_edge.models import build_model

CONTRACT = Contract(
    "toy", "CT", 32, 32, 1, "int16", "letterbox", Intensity(-1.0, 1.0, (0.0,), (1.0,)),
    (Label(0, "background", (0, 0, 0)), Label(1, "liver", (255, 0, 0))), None, "none",
)  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "contract.json").write_text(CONTRACT.to_json())
    path = tmp_path / "best.safetensors"
    save_file(build_model("unet8", 1, 2).state_dict(), path, metadata={"model": "unet8", "format": "pt"})
    return path


def test_answers_like_the_network(checkpoint: Path) -> None:
    torch.manual_seed(0)
    network = build_model("unet8", 1, 2)
    save_file(network.state_dict(), checkpoint, metadata={"model": "unet8", "format": "pt"})
    batch = np.random.default_rng(0).normal(size=(1, 1, 32, 32)).astype(np.float32)
    logits = runtimes.load("torch", checkpoint)(batch)
    with torch.no_grad():
        np.testing.assert_allclose(logits, network.eval()(torch.from_numpy(batch)).numpy(), atol=1e-6)
    with pytest.raises(UsageError, match="allowed"):
        runtimes.load("torch", checkpoint)(batch[:, :, :16])


def test_missing_damaged_or_foreign_checkpoint_is_one_line(checkpoint: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(UsageError, match=match) as caught:
            runtimes.load("torch", checkpoint)
        assert "\n" not in str(caught.value)

    weights = build_model("unet8", 1, 2).state_dict()
    save_file(weights, checkpoint, metadata={"model": "unet16"})
    refused("does not hold the weights of unet16")
    save_file(weights, checkpoint, metadata={"model": "vgg"})
    refused("unknown model 'vgg'.*allowed: ")
    save_file(weights, checkpoint)
    refused("does not name its model")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    refused("is damaged")
    checkpoint.unlink()
    refused("no checkpoint at")


def test_contract_must_lie_beside(checkpoint: Path) -> None:
    (checkpoint.parent / "contract.json").unlink()
    with pytest.raises(ContractError, match="no contract at"):
        runtimes.load("torch", checkpoint)
