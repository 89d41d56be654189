"""A user's own network, from the factory to a finished run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import own_networks
import pytest
import torch
from safetensors import safe_open

from acwskd_edge.models import import_factory
from acwskd_edge.runtimes.torch_eager import load_network
from train.loop import train
from train.recipe import Recipe, load_recipe
from train.state import save_weights

DOC = (Path(__file__).parents[2] / "docs/your-network.md").read_text(encoding="utf-8")


def tensors(path: Path) -> set[str]:
    with safe_open(path, framework="pt") as weights:
        return set(weights.keys())


def test_it_trains_under_the_full_objective_and_its_own_weights_are_saved(
    flare_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(data=f"flare22:{flare_folder}", size=32, steps=4, batch=2, threads=1, accelerator="cpu")
    recipe.model, recipe.penultimate, recipe.aux = "own_networks:small", "last", "middle"
    run = train(recipe, tmp_path / "run")
    assert tensors(run / "best.safetensors") == set(own_networks.Small(1, 2).state_dict())
    assert "fp32,fp16,int8 --model own_networks:small" in capsys.readouterr().out
    network, contract = load_network(run / "best.safetensors", recipe.model)
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, contract.classes, 32, 32)
    assert contract.name == "small-flare22-acw_skd"


def test_tied_weights_can_be_saved(tmp_path: Path) -> None:
    network = own_networks.Tied(1, 2)
    save_weights(tmp_path / "w.safetensors", network, "own_networks:Tied")
    assert tensors(tmp_path / "w.safetensors") == set(network.state_dict())


@pytest.mark.slow
def test_monais_basic_unet_as_the_docs_show_it(
    flare_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.search(r"```python\n(.*?)```", DOC, re.S)
    command = re.search(r"^python -m train (.*)$", DOC, re.M)
    assert code
    assert command
    (tmp_path / "mynets.py").write_text(code[1])
    monkeypatch.syspath_prepend(tmp_path)
    words = shlex.split(command[1])
    fields = {words[i].removeprefix("--"): words[i + 1] for i in range(0, len(words), 2)}
    del fields["out"]
    fields["data"] = f"flare22:{flare_folder}"
    small = {"size": 32, "steps": 2, "batch": 2, "threads": 1, "accelerator": "cpu"}
    run = train(load_recipe("student", fields | small), tmp_path / "run")
    assert tensors(run / "best.safetensors") == set(import_factory(fields["model"])(1, 14).state_dict())
