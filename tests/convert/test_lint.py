"""Little networks, each with one fault, found by the rule's name and by the layer's."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from target_contract import CLASSES, SIZE, toy_contract, toy_images
from torch import Tensor, nn

from acwskd_edge import runtimes
from acwskd_edge.errors import RefusedError, UsageError
from acwskd_edge.models import build_model
from acwskd_edge.preprocess import normalise
from convert import lint as command
from convert.export import Job
from convert.lint import lint
from convert.targets import TARGETS

SHAPE = (1, 1, SIZE, SIZE)


class Between(nn.Module):
    """3x3 convolution, the layer under test as `fault`, 1x1 head."""

    def __init__(self, fault: nn.Module, channels: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.fault = fault
        self.head = nn.Conv2d(channels, CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.fault(self.first(image)))


class Does(nn.Module):
    """A layer that is a function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def halved(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(2), *layers)


FAULTS = {
    "align_corners": ("fault.1", lambda: halved(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))),
    "instance norm": ("fault", lambda: nn.InstanceNorm2d(8)),
    "group norm": ("fault", lambda: nn.GroupNorm(2, 8)),
    "layer norm": ("fault", lambda: nn.LayerNorm([8, SIZE, SIZE])),
    "PReLU": ("fault", lambda: nn.PReLU()),
    "batch norm in training mode": ("fault", lambda: nn.BatchNorm2d(8, track_running_stats=False)),
    "dropout in training mode": ("fault", lambda: Does(lambda x: F.dropout(x, 0.5))),
    "odd size": ("fault.1", lambda: nn.Sequential(nn.ConstantPad2d((0, 1, 0, 1), 0.0), nn.MaxPool2d(2))),
    "fractional nearest resize": ("fault", lambda: Does(lambda x: F.interpolate(x, (90, 90)))),
    "nearest resize": ("fault.1", lambda: halved(nn.Upsample(scale_factor=2))),
    "padding other than zeros": ("fault", lambda: nn.ReflectionPad2d(1)),
    "bicubic resize": ("fault.1", lambda: halved(nn.Upsample(scale_factor=2, mode="bicubic"))),
    "uneven transposed convolution": (
        "fault.1",
        lambda: halved(nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1)),
    ),
    "pixel shuffle": ("fault", lambda: nn.PixelShuffle(2)),
    "more than four dimensions": ("fault", lambda: Does(lambda x: x.unsqueeze(1).squeeze(1))),
    "untried operator erf": ("fault", lambda: Does(torch.erf)),
    "size from a shape": (
        "fault",
        lambda: Does(lambda x: F.interpolate(F.max_pool2d(x, 2), x.shape[-2:], mode="bilinear")),
    ),
    "concatenation of unlike ranges": ("fault", lambda: Does(lambda x: torch.cat([x[:, :4], 100 * x[:, 4:]], 1))),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_is_found_by_name_and_place(rule: str) -> None:
    where, fault = FAULTS[rule]
    made = fault()
    channels = 2 if rule == "pixel shuffle" else 8
    found = [one for one in lint(Between(made, channels), SHAPE) if one.rule == rule]
    assert found, rule
    assert found[0].where.startswith(where)
    assert found[0].targets
    assert found[0].why
    assert found[0].instead


@pytest.mark.parametrize("name", ["unet8", "s2d16"])
def test_registered_networks_are_clean(name: str) -> None:
    assert lint(build_model(name, 1, CLASSES), SHAPE, settle=True) == []


def test_the_network_is_left_as_it_was() -> None:
    network = build_model("unet8", 1, CLASSES).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    lint(network, SHAPE, settle=True)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_that_refuses_the_size_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"\(1, 1, 60, 60\).*divisible"):
        lint(build_model("unet8", 1, CLASSES), (1, 1, 60, 60))


def test_the_command_prints_every_rule_once_and_refuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def good(channels, classes): return nn.Conv2d(channels, classes, 1)\n"
        "def bad(channels, classes):\n"
        "    return nn.Sequential(nn.Conv2d(channels, classes, 1), nn.InstanceNorm2d(4), nn.InstanceNorm2d(4))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["lint", *words])
        return command.main()

    assert run("--model", "mine:good", "--size", "32") == 0
    assert "nothing found" in capsys.readouterr().out
    with pytest.raises(RefusedError, match=r"2 finding\(s\): instance norm"):
        run("--model", "mine:bad", "--size", "32")
    assert "at: 1, 2" in capsys.readouterr().out
    with pytest.raises(UsageError, match="neither RUN nor --model"):
        run()


def test_a_run_is_examined_at_its_contracts_size(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["lint", str(tiny_run)])
    assert command.main() == 0
    assert "(1, 1, 32, 32)" in capsys.readouterr().out


class Everything(nn.Module):
    """All of `lint.KNOWN`."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.rest = nn.Sequential(nn.LeakyReLU(0.1), nn.Dropout(), nn.Identity(), nn.SiLU(), nn.AvgPool2d(3, 1, 1))
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.pad(torch.relu(self.first(self.norm(F.relu(image)))), (0, 0, 0, 0))
        low = F.max_pool2d(x, 2)
        resized = F.interpolate(low, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = self.rest(x * torch.sigmoid(x.mean((2, 3), keepdim=True)) + self.up(low)) / 2.0 - resized
        return self.head(torch.cat([x, resized], 1))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_known_operators_survive_every_target(tmp_path: Path, target: str) -> None:
    torch.manual_seed(0)
    network, contract = Everything().eval(), toy_contract("int16")
    assert lint(network, SHAPE) == []
    path = TARGETS[target].emit(Job(network, contract, "fp32", "tensor", [], tmp_path))
    image = normalise(toy_images(contract, 1, seed=3)[0][0], contract)
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(runtimes.load(TARGETS[target].runtime, path)(image), expected, atol=1e-4)
