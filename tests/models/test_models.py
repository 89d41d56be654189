from __future__ import annotations

import pytest
import torch
from torch import nn

from acwskd_edge.errors import UsageError
from acwskd_edge.models import MODELS, build_model
from acwskd_edge.models.unet import UNet


@pytest.fixture(params=[name for name in MODELS if name != "unet64"])
def network(request: pytest.FixtureRequest) -> UNet:
    torch.manual_seed(0)
    return build_model(request.param, 1, 5).eval()


def test_logits_lie_on_the_inputs_grid(network: UNet) -> None:
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 32, 48)).shape == (2, 5, 32, 48)


def test_features_are_as_declared(network: UNet) -> None:
    with torch.inference_mode():
        features = network.decode(torch.zeros(1, 1, 32, 32))
    assert [one.shape[1] for one in features] == network.feature_channels
    assert [one.shape[-1] for one in features] == sorted(one.shape[-1] for one in features)


def test_only_exportable_modules(network: UNet) -> None:
    allowed = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU, nn.Identity)
    leaves = [one for one in network.modules() if not list(one.children())]
    assert all(isinstance(one, allowed) for one in leaves)


def test_a_side_that_does_not_divide_is_named(network: UNet) -> None:
    with pytest.raises(UsageError, match="sides divisible by 16"):
        network(torch.zeros(1, 1, 40, 32))


def test_the_full_unet_has_its_31_million_parameters() -> None:
    with torch.device("meta"):
        network = build_model("unet64", 1, 9)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(31.04e6, rel=1e-3)


def test_the_strided_stem_is_space_to_depth_and_a_3x3_convolution() -> None:
    torch.manual_seed(0)
    stem = build_model("s2d16", 1, 2).entry[0]
    image = torch.randn(1, 1, 16, 16)
    # Kernel cell (2i+a, 2j+b) of the strided convolution is cell (i, j) of channel 2a+b behind space-to-depth.
    weight = stem.weight.reshape(16, 3, 2, 3, 2).permute(0, 2, 4, 1, 3).reshape(16, 4, 3, 3)
    wanted = nn.functional.conv2d(nn.functional.pixel_unshuffle(image, 2), weight, padding=1)
    assert torch.allclose(stem(image), wanted, atol=1e-5)


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="allowed: unet64"):
        build_model("resnet", 1, 2)
