"""A network that was trained elsewhere, from its state dict to a bundle."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import foreign_networks
import pytest
import torch
import yaml
from safetensors.torch import save_file

from acwskd_edge.bundle import open_bundle
from acwskd_edge.contract import Contract
from acwskd_edge.errors import UsageError
from convert import __main__ as command
from convert.adopt import adopt
from convert.lint import lint

Elsewhere = Callable[[str], tuple[str, Path, Path, str]]


@pytest.fixture
def elsewhere(tiny_run: Path, tmp_path: Path) -> Elsewhere:
    """What a user has: factory, weights, contract, data."""
    contract = Contract.load(tiny_run / "contract.json")
    bare = {**contract.to_dict(), "provenance": {}}
    (tmp_path / "contract.json").write_text(json.dumps(bare))
    data = yaml.safe_load((tiny_run / "recipe.yaml").read_text())["data"]

    def make(name: str) -> tuple[str, Path, Path, str]:
        torch.manual_seed(0)
        network = getattr(foreign_networks, name)(contract.channels, contract.classes)
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / f"{name}.safetensors")
        return f"foreign_networks:{name}", tmp_path / f"{name}.safetensors", tmp_path / "contract.json", data

    return make


def convert(monkeypatch: pytest.MonkeyPatch, given: tuple[str, Path, Path, str], *words: object) -> int:
    model, weights, contract, data = given
    own = ["--model", model, "--weights", weights, "--contract", contract, "--data", data]
    monkeypatch.setattr(sys, "argv", ["convert", *map(str, [*own, *words])])
    return command.main()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "tflite", "coreml"])
def test_monais_basic_unet_reaches_every_target(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    pytest.importorskip("monai", reason="pip install monai")
    out = tmp_path / "run"
    assert lint(foreign_networks.basic_unet(1, 4), (1, 1, 32, 32), settle=True) == []
    assert convert(monkeypatch, elsewhere("basic_unet"), "--out", out, "--target", target, "--io", "both") == 0
    bundle = open_bundle(out / "bundle")
    assert [one.id for one in bundle.artefacts] == [f"{target}-fp32", f"{target}-fp32-raw"]
    assert all(entry["argmax_agreement"] > 0.9999 for entry in bundle.report["artefacts"])
    assert bundle.contract.provenance["model"] == "foreign_networks:basic_unet"


def test_the_same_again_does_nothing_and_another_is_refused(elsewhere: Elsewhere, tmp_path: Path) -> None:
    given = elsewhere("pointwise")
    out = adopt(*given, tmp_path / "run")
    before = {one.name: one.stat().st_mtime_ns for one in out.iterdir()}
    assert adopt(*given, out) == out
    assert {one.name: one.stat().st_mtime_ns for one in out.iterdir()} == before
    changed = foreign_networks.pointwise(1, Contract.load(given[2]).classes)
    save_file(changed.state_dict(), given[1])
    with pytest.raises(UsageError, match="holds another run"):
        adopt(*given, out)


def test_code_is_imported_only_when_the_person_names_it(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = adopt(*elsewhere("pointwise"), tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["convert", str(out), "--target", "onnx"])
    with pytest.raises(UsageError, match=r"network of the user's own.*--model package\.module:factory"):
        command.main()


def test_mistakes_leave_nothing_behind(elsewhere: Elsewhere, tmp_path: Path) -> None:
    model, weights, contract, data = elsewhere("pointwise")
    pickled = tmp_path / "network.pt"
    torch.save({"weight": torch.zeros(1)}, pickled)
    wrong = {
        (model, tmp_path / "absent.safetensors"): "no weights at",
        (model, pickled): r"not a safetensors file.*which cannot run code.*save_file",
        ("unet8", weights): r"allowed: your own network: package\.module:factory",
        ("foreign_networks:halving", weights): "does not hold the weights of foreign_networks:halving",
        elsewhere("halving")[:2]: r"gives \(1, \d+, 16, 16\); allowed: logits",
    }
    for (name, file), message in wrong.items():
        with pytest.raises(UsageError, match=message):
            adopt(name, file, contract, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_run_and_weights_exclude_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["convert", str(tmp_path), "--weights", "x.safetensors"])
    with pytest.raises(UsageError, match="RUN together with --weights"):
        command.main()
