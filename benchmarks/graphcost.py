"""Multiply-accumulates counted from an exported ONNX graph, node by node: the second opinion on `cost.py`."""

from __future__ import annotations

from math import prod
from pathlib import Path

import onnx
from onnx import shape_inference

Shapes = dict[str, tuple[int, ...]]

HOW = "Conv, ConvTranspose, Gemm and MatMul of the exported ONNX graph, shapes by onnx.shape_inference"


def shapes_of(graph: onnx.GraphProto) -> Shapes:
    """Every tensor's shape, as far as it is known and static."""
    found: Shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        sides = value.type.tensor_type.shape.dim
        if all(side.HasField("dim_value") for side in sides):
            found[value.name] = tuple(side.dim_value for side in sides)
    return found


def node_macs(node: onnx.NodeProto, shapes: Shapes) -> int:
    """MACs of one node; 0 for one that multiplies no matrices.

    Weights of a Conv are (Cout, Cin / groups, k, k), of a ConvTranspose (Cin, Cout / groups, k, k): each output
    (input) pixel takes part once per weight behind its channel.
    """
    if node.op_type == "Conv":
        return prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type == "MatMul":
        return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    if node.op_type == "Gemm":
        transposed = any(one.name == "transA" and one.i for one in node.attribute)
        return prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]
    return 0


def graph_macs(path: Path) -> int:
    """MACs of one forward pass of an .onnx file with static shapes; batch norm, activations and resizing are free."""
    graph = shape_inference.infer_shapes(onnx.load(path), strict_mode=True, data_prop=True).graph
    shapes = shapes_of(graph)
    return sum(node_macs(node, shapes) for node in graph.node)
