from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from acwskd_edge.data import cases_in, open_data
from acwskd_edge.data.slices import TrainingSlices
from acwskd_edge.distill.ps_kd import frozen_copy
from acwskd_edge.errors import UsageError
from acwskd_edge.models import build_model
from train.engine import Engine, share_batch_norm
from train.loop import new_contract, new_modules, new_optimizer
from train.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[2]


def tiny(data: Path, **fields: object) -> Recipe:
    values = {"data": f"flare22:{data}", "size": 32, "steps": 20, "batch": 8, "precision": "fp32", "threads": 1}
    values |= {"validate_every": 10, "accelerator": "cpu", "objective.name": "plain"}
    return load_recipe("student", values | fields)


def slices_of(recipe: Recipe) -> TrainingSlices:
    data = open_data(recipe.data)
    return TrainingSlices(data, cases_in(data, "train"), new_contract(recipe, data))


def trained_by_hand(recipe: Recipe, parts: int) -> tuple[nn.Module, list[float]]:
    """One process that averages the loss of `parts` equal slices of every batch."""
    network, objective = new_modules(recipe, new_contract(recipe, open_data(recipe.data)))
    optimizer = new_optimizer(network, objective, recipe)
    slices, losses = slices_of(recipe), []
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * (1 - step / recipe.steps) ** 0.9
        both = slices.batch(recipe.batch, recipe.seed, step, recipe.augment)
        pairs = zip(*(torch.from_numpy(one).chunk(parts) for one in both), strict=True)
        each = [objective(network, *pair, step / (recipe.steps - 1))[0] for pair in pairs]
        loss = torch.stack(each).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return network, losses


@pytest.mark.slow
def test_two_processes_train_as_one_does(flare_folder: Path, tmp_path: Path) -> None:
    recipe, out = tiny(flare_folder), tmp_path / "run"
    words = ["--recipe", "student", "--data", recipe.data, "--steps", "20", "--devices", "2", "--accelerator", "cpu"]
    for one in ("size=32", "batch=8", "precision=fp32", "threads=1", "validate_every=10", "objective.name=plain"):
        words += ["--set", one]
    done = subprocess.run(
        [sys.executable, "-m", "train", *words, "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("training slices") == done.stdout.count("next: python -m convert") == 1
    assert "arning" not in done.stderr

    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found = {one["step"]: one["loss"] for one in records if "loss" in one}
    halves, losses = trained_by_hand(recipe, 2)
    assert found == pytest.approx({10: losses[9], 20: losses[19]}, rel=1e-4)
    with safe_open(out / "state.safetensors", framework="pt") as state:
        for name, parameter in halves.named_parameters():
            torch.testing.assert_close(state.get_tensor(f"network.{name}"), parameter.detach(), rtol=1e-3, atol=1e-3)
    # Against the batch as a whole: soft Dice and batch norm see half of it at a time.
    whole = trained_by_hand(recipe, 1)[1]
    assert found == pytest.approx({10: whole[9], 20: whole[19]}, rel=0.05)


def test_each_process_takes_its_slice_of_the_batch(flare_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny(flare_folder)
    slices = slices_of(recipe)
    images, labels = (torch.from_numpy(one) for one in slices.batch(8, recipe.seed, 5, recipe.augment))
    for rank in (0, 1):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        engine = Engine(tiny(flare_folder, devices=2))
        assert engine.first == (rank == 0)
        got = next(engine.batches(slices, 5))
        assert torch.equal(got[0], images[4 * rank : 4 * rank + 4])
        assert torch.equal(got[1], labels[4 * rank : 4 * rank + 4])


def test_shared_batch_norm_keeps_parameters_and_leaves_frozen_copies() -> None:
    network = build_model("s2d16", 1, 3)
    before, keys = dict(network.named_parameters()), list(network.state_dict())
    holder = nn.ModuleDict({"past": frozen_copy(network), "network": network})
    share_batch_norm(holder)
    assert list(network.state_dict()) == keys
    assert all(parameter is before[name] for name, parameter in network.named_parameters())
    kinds = {name: {type(one) for one in module.modules()} for name, module in holder.items()}
    assert nn.SyncBatchNorm in kinds["network"]
    assert nn.SyncBatchNorm not in kinds["past"]


def test_devices_that_are_not_there_are_refused(flare_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"96 CUDA device\(s\) wanted; allowed: \d+ here, or accelerator cpu"):
        Engine(tiny(flare_folder, accelerator="cuda", devices=96, batch=96))
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UsageError, match="2 nodes, but nothing says where the first one is; next: set MASTER_ADDR"):
        Engine(tiny(flare_folder, nodes=2))
