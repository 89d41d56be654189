from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from acwskd_edge import runtimes
from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.errors import ContractError, MissingDependency, UsageError
from acwskd_edge.models import build_model
from acwskd_edge.runtimes import torch_compile

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


@pytest.mark.slow
def test_compiled_it_answers_the_same(checkpoint: Path) -> None:
    if shutil.which(os.environ.get("CXX", torch_compile.COMPILER)) is None:
        pytest.skip("torch.compile needs a C++ compiler: sudo apt-get install g++")
    batch = np.random.default_rng(0).normal(size=(1, 1, 32, 32)).astype(np.float32)
    eager = runtimes.load("torch", checkpoint)(batch)
    compiled = runtimes.load("torch-compile", checkpoint)
    np.testing.assert_allclose(compiled(batch), eager, atol=1e-4)
    with pytest.raises(UsageError, match="allowed"):
        compiled(batch[:, :, :16])


def test_without_a_compiler_the_command_that_brings_one_is_named(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingDependency, match=r"no-such-compiler not found.*apt-get install g\+\+"):
        runtimes.load("torch-compile", checkpoint)
