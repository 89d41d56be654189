from __future__ import annotations

from math import prod
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from acwskd_edge.models import MODELS
from benchmarks.graphcost import graph_macs


def graph_of(path: Path, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]], weights: set[str]) -> Path:
    """A graph of one node; the first input is the image."""
    inputs = [helper.make_tensor_value_info(name, 1, shapes[name]) for name in node.input if name not in weights]
    outputs = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)]
    constants = [helper.make_tensor(name, 1, shapes[name], [0.0] * prod(shapes[name])) for name in weights]
    graph = helper.make_graph([node], "one", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.mark.parametrize(
    ("kind", "image", "weight", "attributes", "macs"),
    [
        ("Conv", (1, 4, 8, 6), (10, 4, 3, 3), {"pads": [1, 1, 1, 1]}, 8 * 6 * 10 * 4 * 9),
        ("Conv", (1, 4, 8, 6), (10, 4, 2, 2), {"strides": [2, 2]}, 4 * 3 * 10 * 4 * 4),
        ("Conv", (1, 4, 8, 6), (8, 2, 3, 3), {"pads": [1, 1, 1, 1], "group": 2}, 8 * 6 * 8 * 2 * 9),
        ("ConvTranspose", (1, 4, 8, 6), (4, 10, 2, 2), {"strides": [2, 2]}, 8 * 6 * 4 * 10 * 4),
        ("MatMul", (5, 7), (7, 3), {}, 5 * 7 * 3),
        ("Gemm", (5, 7), (7, 3), {}, 5 * 7 * 3),
        ("Gemm", (7, 5), (7, 3), {"transA": 1}, 5 * 7 * 3),
        ("Add", (5, 7), (5, 7), {}, 0),
    ],
)
def test_every_kind_of_node_equals_a_hand_count(
    tmp_path: Path, kind: str, image: tuple[int, ...], weight: tuple[int, ...], attributes: dict[str, object], macs: int
) -> None:
    node = helper.make_node(kind, ["image", "weight"], ["out"], **attributes)
    path = graph_of(tmp_path / "m.onnx", node, {"image": image, "weight": weight}, {"weight"})
    assert graph_macs(path) == macs


@pytest.mark.slow
@pytest.mark.parametrize("model", [name for name in MODELS if name != "unet64"])
def test_the_exported_graph_agrees_with_the_flop_counter(tmp_path: Path, model: str) -> None:
    import torch

    from acwskd_edge.models import build_model
    from benchmarks.cost import macs
    from convert.targets.onnx import _quiet_exporter

    network = build_model(model, 1, 4).eval()
    with _quiet_exporter():
        program = torch.onnx.export(network, (torch.zeros(1, 1, 64, 48),), dynamo=True, opset_version=20, verbose=False)
    assert program is not None
    onnx.save(program.model_proto, tmp_path / "m.onnx")
    assert graph_macs(tmp_path / "m.onnx") == macs(network, 1, 64, 48)
