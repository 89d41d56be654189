"""What a network costs before anything is timed: parameters and multiply-accumulates of the deployed graph."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from acwskd_edge.contract import Contract
from acwskd_edge.models import MODELS, build_model, import_factory, is_factory

HOW = "MACs, torch.utils.flop_counter / 2"


def parameters(network: nn.Module) -> int:
    """Trainable numbers; the running statistics of batch norm are not among them."""
    return sum(one.numel() for one in network.parameters())


def macs(network: nn.Module, channels: int, height: int, width: int) -> int:
    """Multiply-accumulates of one image: convolutions and matrix products only, FLOPs / 2.

    Batch norm, ReLU and bilinear upsampling are not counted. The network should lie on the `meta` device, where
    nothing is computed.
    """
    device = next(network.parameters()).device
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, channels, height, width, device=device))
    return int(counter.get_total_flops()) // 2


def cost_of(contract: Contract, factories: bool = False) -> dict[str, int | None]:
    """Parameters and MACs of the model a contract names, on its grid; null where the name is not in the registry.

    Args:
        factories: a `package.module:factory` is imported, which runs its code; for runs of one's own only.
    """
    name = contract.provenance.get("model") or ""
    if name not in MODELS and not (factories and is_factory(name)):
        return {"parameters": None, "macs": None}
    with torch.device("meta"):
        build = import_factory(name) if is_factory(name) else partial(build_model, name)
        network = build(contract.channels, contract.classes)
    return {
        "parameters": parameters(network),
        "macs": macs(network, contract.channels, contract.height, contract.width),
    }
