from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import own_networks
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from acwskd_edge.contract import Contract
from acwskd_edge.errors import UsageError
from acwskd_edge.models import build_model, build_tapped, import_factory
from acwskd_edge.models.hooked import Hooked
from acwskd_edge.runtimes.torch_eager import load_network


def hooked(name: str = "small", penultimate: str = "last", aux: str = "middle.2") -> Hooked:
    torch.manual_seed(0)
    network = build_tapped(f"own_networks:{name}", 1, 3, penultimate, aux, 32)
    assert isinstance(network, Hooked)
    return network


def test_the_named_layers_are_the_features() -> None:
    network, image = hooked(), torch.randn(2, 1, 16, 48)
    taps = network.taps(image)
    assert network.feature_channels == [16, 12]
    assert [tuple(one.shape) for one in taps.features] == [(2, 16, 8, 24), (2, 12, 16, 48)]
    assert taps.middle is taps.features[0]
    assert torch.equal(network.module.head(taps.penultimate), taps.logits)  # type: ignore[operator]
    assert torch.equal(network(image), taps.logits)


def test_gradients_pass_through_the_features() -> None:
    network = hooked()
    network.taps(torch.randn(2, 1, 32, 32)).middle.sum().backward()
    assert network.get_parameter("module.enter.0.weight").grad is not None
    assert network.get_parameter("module.last.0.weight").grad is None


def test_without_an_auxiliary_layer_the_penultimate_serves() -> None:
    network = hooked(aux="")
    taps = network.taps(torch.randn(1, 1, 32, 32))
    assert network.feature_channels == [12]
    assert taps.middle is taps.penultimate


def test_what_is_deployed_is_the_users_module_as_it_was() -> None:
    network = hooked()
    assert type(network.deployed) is own_networks.Small
    assert network.deployed.state_dict().keys() == own_networks.Small(1, 3).state_dict().keys()
    network.taps(torch.randn(1, 1, 32, 32))
    assert not any(one._forward_hooks for one in network.modules())
    assert all(one.training for one in network.modules())


def test_a_factory_may_ask_by_monais_names() -> None:
    assert hooked("by_name").module.head.out_channels == 3  # type: ignore[union-attr]


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "no layer": (lambda: hooked(penultimate=""), "--penultimate '' is no layer of the network; allowed: enter, "),
    "unknown layer": (lambda: hooked(penultimate="final"), "--penultimate 'final' is no .* allowed: enter, enter.0"),
    "unknown auxiliary layer": (lambda: hooked(aux="mid"), "--aux 'mid' is no layer of the network; allowed: enter"),
    "vectors": (lambda: hooked("Vector", "flat"), r"layer 'flat' gives a tensor of shape \(1, 1024\); allowed: .*B, C"),
    "two tensors": (lambda: hooked("Vector", "pair"), r"layer 'pair' gives a tuple; allowed: .* one tensor \(B, C"),
    "idle layer": (lambda: hooked("Vector", "unused"), "layer 'unused' did not run in the forward pass"),
    "half grid": (
        lambda: hooked("HalfGrid"),
        r"answers \(1, 3, 16, 16\) to an image \(1, 1, 32, 32\); allowed: logits",
    ),
    "dict": (lambda: hooked("Named"), r"the network returns a dict; allowed: logits, a tensor \(B, K, H, W\)"),
    "wrong input": (
        lambda: Hooked(own_networks.Small(3, 2), "last", "", 1, 2, 32),
        r"cannot take an image \(1, 1, 32, 32\) \(RuntimeError: .*channels",
    ),
    "layers of ours": (lambda: build_tapped("s2d16", 1, 3, "up", "", 32), "layers up named for model 's2d16'"),
    "unknown name": (
        lambda: build_tapped("vgg", 1, 3, "", "", 32),
        "allowed: unet64.*your own: package.module:factory",
    ),
    "no module": (lambda: hooked_from("no_such.nets:net"), r"cannot be imported \(no module 'no_such'\); next: run wh"),
    "no function": (lambda: hooked_from("own_networks:resnet"), "no function 'resnet'; allowed: .*small"),
    "no callable": (lambda: hooked_from("own_networks:version"), "no function 'version'"),
    "no name": (lambda: hooked_from("own_networks:"), "allowed: --model package.module:factory"),
    "code": (lambda: hooked_from("os:system('true')"), "allowed: --model package.module:factory"),
    "factory fails": (lambda: hooked_from("own_networks:picky"), r"picky\(1, 3\) failed \(ValueError: no net for 3\)"),
    "no network": (lambda: hooked_from("own_networks:no_module"), "gave a str; allowed: a torch.nn.Module"),
}


def hooked_from(name: str) -> nn.Module:
    return import_factory(name)(1, 3)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line(mistake: str) -> None:
    make, says = MISTAKES[mistake]
    with pytest.raises(UsageError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_module_that_does_not_import_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needs_more.py").write_text("import not_there\n")
    (tmp_path / "broken_code.py").write_text("def net(:\n")
    with pytest.raises(UsageError, match="it needs 'not_there', which is not installed"):
        import_factory("needs_more:net")
    with pytest.raises(UsageError, match=r"cannot be imported \(SyntaxError"):
        import_factory("broken_code:net")


@pytest.fixture
def weights(tmp_path: Path, contract: Contract) -> Path:
    """Weights that name a module which must not be imported for it."""
    (tmp_path / "contract.json").write_text(contract.to_json())
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')\n")
    path = tmp_path / "best.safetensors"
    save_file(own_networks.Small(1, 3).state_dict(), path, metadata={"model": "trap:net"})
    return path


def test_weights_never_import_the_code_they_name(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(weights.parent)
    with pytest.raises(UsageError, match="'trap:net'; next: name its code yourself if you trust it: --model"):
        load_network(weights)
    network, _ = load_network(weights, "own_networks:small")
    assert type(network) is own_networks.Small
    assert not network.training
    assert "trap" not in sys.modules


def test_the_named_code_must_fit_the_weights(weights: Path) -> None:
    with pytest.raises(UsageError, match="does not hold the weights of own_networks:Vector"):
        load_network(weights, "own_networks:Vector")
    save_file(build_model("unet8", 1, 3).state_dict(), weights, metadata={"model": "unet8"})
    with pytest.raises(UsageError, match="holds weights of 'unet8'; next: leave out --model"):
        load_network(weights, "own_networks:small")
