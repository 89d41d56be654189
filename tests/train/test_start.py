"""Fine-tuning: `init` starts from a finished run's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from acwskd_edge.contract import Contract
from acwskd_edge.errors import UsageError
from acwskd_edge.files import sha256
from train.loop import train
from train.recipe import Recipe

HEAD = {"head.weight", "head.bias"}


def tuned(data: str, init: Path, **fields: Any) -> Recipe:
    """One step too small to see: what it trained is where it started."""
    still: dict[str, Any] = {"size": 32, "steps": 1, "batch": 2, "threads": 1, "lr": 1e-12, "weight_decay": 0.0}
    return Recipe(data=data, init=str(init), **(still | fields))


def apart(one: Path, other: Path) -> set[str]:
    """Trained tensors of two runs that differ; batch norm's statistics move without a gradient."""
    first, second = (load_file(run / "best.safetensors") for run in (one, other))
    same = {name for name in first if first[name].shape == second[name].shape}
    learned = {name for name in first if "running" not in name and "batches" not in name}
    return {name for name in learned if name not in same or not torch.allclose(first[name], second[name], atol=1e-6)}


def test_training_starts_from_the_weights_of_another_run(
    tiny_run: Path, flare_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(tuned(f"flare22:{flare_folder}", tiny_run), tmp_path / "run")
    assert apart(run, tiny_run) == set()
    assert f"starts from {tiny_run}\n" in capsys.readouterr().out
    assert Contract.load(run / "contract.json").provenance["init_sha256"] == sha256(tiny_run / "best.safetensors")


def test_other_classes_want_a_fresh_head(
    tiny_run: Path, acdc_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(tuned(f"acdc:{acdc_folder}", tiny_run), tmp_path / "run")
    assert apart(run, tiny_run) == HEAD
    assert f"starts from {tiny_run}; afresh: head.weight, head.bias\n" in capsys.readouterr().out


def test_a_killed_run_goes_on_from_its_own_weights(
    tiny_run: Path, flare_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tuned(f"flare22:{flare_folder}", tiny_run, steps=4, lr=0.01, save_every=2)
    whole = train(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("train.loop.validate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run")
    assert (tmp_path / "run/best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"init": "runs/nowhere"}, r"init runs/nowhere is not a finished run; next: python -m train"),
        ({"model": "s2d24"}, r"init .* is a s2d16, not a s2d24; next: --model s2d16, or another run"),
    ],
)
def test_what_cannot_be_started_from_is_refused(
    tiny_run: Path, flare_folder: Path, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    recipe = tuned(f"flare22:{flare_folder}", tiny_run)
    for name, value in fields.items():
        setattr(recipe, name, value)
    with pytest.raises(UsageError, match=message):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
