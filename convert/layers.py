"""A network's layers by their own names, and where they went in an emitted graph.

A layer is a convolution or a transposed convolution with weights: what int8 quantises. The exporters keep the order in
which the layers run; their names survive in ONNX only. So an emitted graph's convolutions are the layers in order, and
the shapes of their weights must agree.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from acwskd_edge.errors import RefusedError

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True)
class Layer:
    """One convolution of the network."""

    name: str  # of the module, for instance `down.0.3`
    weight: tuple[int, ...]  # shape


@dataclass(frozen=True)
class Node:
    """One operation of an emitted graph, as far as the choice of what is quantised concerns it."""

    output: str
    inputs: tuple[str, ...]  # tensors; constants may be among them
    weight: tuple[int, ...] | None = None  # shape of the weights, in the format's own order; None: no convolution


def layers_of(network: nn.Module, shape: tuple[int, int, int, int]) -> list[Layer]:
    """The convolutions in order of execution on an input (1, C, h, w); a module that runs twice is there twice."""
    ran: list[Layer] = []
    hooks = [
        module.register_forward_hook(_recorder(Layer(name, tuple(module.weight.shape)), ran))
        for name, module in network.named_modules()
        if isinstance(module, CONVOLUTIONS)
    ]
    try:
        with torch.inference_mode():
            network(torch.zeros(shape))
    finally:
        for hook in hooks:
            hook.remove()
    return ran


def _recorder(layer: Layer, ran: list[Layer]) -> Any:
    def record(_module: nn.Module, _inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        ran.append(layer)

    return record


def left_out(nodes: Sequence[Node], layers: Sequence[Layer], keep: Collection[str]) -> set[str]:
    """Outputs of the operations that int8 leaves alone: the first and last layer, `keep`, and what only these read.

    The image and the logits lose most by 8 bits, and the layers there are few weights. Any operation without weights,
    a pooling or concatenation for instance, goes with the layers that read it, directly or through others.

    Args:
        nodes: in order of execution.
        layers: of the network, in order of execution; looked at only where there is something to keep.
        keep: names of further layers.
    Raises:
        RefusedError: the graph's convolutions are not the network's layers in order.
    """
    convolutions = [node for node in nodes if node.weight is not None]
    kept = {node.output for node in (*convolutions[:1], *convolutions[-1:])}
    if keep:
        _check(convolutions, layers)
        kept |= {node.output for node, layer in zip(convolutions, layers, strict=True) if layer.name in keep}
    readers: dict[str, list[bool]] = {}
    for node in reversed(nodes):
        if node.weight is None and all(readers.get(node.output, [False])):
            kept.add(node.output)
        for name in node.inputs:
            readers.setdefault(name, []).append(node.output in kept)
    return kept


def _check(convolutions: Sequence[Node], layers: Sequence[Layer]) -> None:
    found = [sorted(node.weight or ()) for node in convolutions]
    if found != [sorted(layer.weight) for layer in layers]:
        raise RefusedError(
            f"the graph's {len(found)} convolutions are not the network's {len(layers)} layers in order",
            hint="--precision fp16",
        )
