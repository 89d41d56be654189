"""What keeps an ONNX graph from a TensorRT engine of the precision that was asked for, found before a device is.

TensorRT refuses some graphs and, worse, runs others in float without a word: where a Q/DQ pair stands in a wrong place,
a layer does not fuse and int8 is slower than fp16. Rules: NVIDIA's pages on explicit quantisation and on the DLA.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

WEIGHT_AXIS = {"Conv": 0, "ConvTranspose": 1}  # of the output channels
OPERATORS = {  # that TensorRT's parser of 8.6 and later knows at opset 17
    *("Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv"),
    *("ConvTranspose", "DepthToSpace", "DequantizeLinear", "Div", "Elu", "Erf", "Exp", "Flatten"),
    *("GlobalAveragePool", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization"),
    *("LayerNormalization", "LeakyRelu", "Max", "MaxPool", "Min", "Mul", "PRelu", "Pad", "Pow"),
    *("QuantizeLinear", "Reciprocal", "ReduceMean", "Relu", "Reshape", "Resize", "Sigmoid", "Slice"),
    *("Softmax", "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"),
}
ON_DLA = {
    *("Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "ConvTranspose", "LeakyRelu"),
    *("Max", "MaxPool", "Min", "Mul", "PRelu", "Relu", "Resize", "Sigmoid", "Sub", "Tanh"),
}
DLA_KERNEL, DLA_WINDOW = 32, 8  # widest kernel of a convolution, widest pooling


class Graph:
    """An ONNX graph with its edges."""

    def __init__(self, model: onnx.ModelProto) -> None:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        self.nodes = list(inferred.graph.node)
        self.constants = {one.name: one for one in inferred.graph.initializer}
        self.maker = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        values = [*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output]
        self.shapes = {one.name: [d.dim_value for d in one.type.tensor_type.shape.dim] for one in values}

    def constant(self, name: str) -> Any:
        """Values of an initializer."""
        return numpy_helper.to_array(self.constants[name])

    def made_by(self, name: str) -> str:
        """Type of the operator that writes a tensor, empty for inputs and constants."""
        return str(self.maker[name].op_type) if name in self.maker else ""

    def scale(self, name: str) -> bytes:
        """Scale of the Q or DQ that writes a tensor."""
        return bytes(self.constant(self.maker[name].input[1]).tobytes())


def faults(model: onnx.ModelProto) -> list[str]:
    """Why a graph will not become the engine it should; empty if nothing is known against it."""
    graph = Graph(model)
    found = [f"operator {kind}" for kind in sorted({one.op_type for one in graph.nodes} - OPERATORS)]
    found += [f"tensor {name} has a dynamic shape" for name, shape in graph.shapes.items() if 0 in shape]
    for node in graph.nodes:
        found += RULES[node.op_type](graph, node) if node.op_type in RULES else ()
    return found


def _pair(graph: Graph, node: onnx.NodeProto) -> Iterator[str]:
    """A QuantizeLinear or DequantizeLinear."""
    zero = graph.constant(node.input[2]) if len(node.input) > 2 else None
    if zero is None or zero.dtype != np.int8 or zero.any():
        yield f"{node.name}: zero point is not int8 0, but TensorRT's int8 is symmetric"
    if not (graph.constant(node.input[1]) > 0).all():
        yield f"{node.name}: a scale is not positive"
    if node.op_type == "QuantizeLinear":
        others = {one.op_type for one in graph.readers.get(node.output[0], [])} - {"DequantizeLinear"}
        if others:
            yield f"{node.name}: Q is read by {', '.join(sorted(others))} without a DQ between"


def _weighted(graph: Graph, node: onnx.NodeProto) -> Iterator[str]:
    """A convolution: pixels and weights are both behind Q/DQ or neither is."""
    image, weight = (graph.made_by(name) == "DequantizeLinear" for name in node.input[:2])
    if image != weight:
        yield f"{node.name}: only its {'pixels' if image else 'weights'} are behind Q/DQ, so that it runs in float"
    if weight:
        dequantize = graph.maker[node.input[1]]
        scale = graph.constant(dequantize.input[1])
        quantize = graph.maker.get(dequantize.input[0])
        values = graph.constant(quantize.input[0] if quantize else dequantize.input[0])
        axis = next((one.i for one in dequantize.attribute if one.name == "axis"), 1)
        right = WEIGHT_AXIS[node.op_type]
        if scale.ndim != 1 or axis != right or scale.size != values.shape[right]:
            yield f"{node.name}: weights need one scale per output channel, on axis {right}"


def _relu(graph: Graph, node: onnx.NodeProto) -> Iterator[str]:
    """No Q/DQ between a convolution and its activation."""
    name = node.input[0]
    if graph.made_by(name) == "DequantizeLinear":
        source = graph.maker[graph.maker[name].input[0]].input[0]
        if graph.made_by(source) in WEIGHT_AXIS:
            yield f"{node.name}: Q/DQ between it and {graph.maker[source].name}, so that they do not fuse"


def _one_scale(graph: Graph, node: onnx.NodeProto) -> Iterator[str]:
    """A pooling or concatenation between Q/DQ: one scale before and behind."""
    quantised = [name for name in node.input if graph.made_by(name) == "DequantizeLinear"]
    if quantised and len(quantised) < len(node.input):
        yield f"{node.name}: only some of its inputs are behind Q/DQ"
    behind = [one.output[0] for one in graph.readers.get(node.output[0], []) if one.op_type == "QuantizeLinear"]
    if len({graph.scale(name) for name in (*quantised, *behind)}) > 1:
        yield f"{node.name}: its tensors have different scales, so that they are rescaled"


RULES = {
    "QuantizeLinear": _pair,
    "DequantizeLinear": _pair,
    "Conv": _weighted,
    "ConvTranspose": _weighted,
    "Relu": _relu,
    "MaxPool": _one_scale,
    "Concat": _one_scale,
}


def off_dla(model: onnx.ModelProto) -> list[str]:
    """The operators that a deep learning accelerator of the Orin leaves to the GPU, with the reason.

    The device has the last word: its build.json lists what really ran where.
    """
    graph = Graph(model)
    told = ((node, _off_dla(graph, node)) for node in graph.nodes)
    return [f"{node.op_type} {node.name} ({why})" for node, why in told if why]


def _off_dla(graph: Graph, node: onnx.NodeProto) -> str:
    options = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if node.op_type not in ON_DLA:
        return "no DLA operator"
    if node.op_type in WEIGHT_AXIS and max(options.get("kernel_shape", [1])) > DLA_KERNEL:
        return f"kernel above {DLA_KERNEL}"
    if node.op_type == "ConvTranspose" and (any(options.get("pads", [])) or options.get("group", 1) > 1):
        return "padding or groups"
    if node.op_type in ("MaxPool", "AveragePool") and max(options["kernel_shape"]) > DLA_WINDOW:
        return f"window above {DLA_WINDOW}"
    if node.op_type == "Concat" and options["axis"] != 1:
        return "not along channels"
    if node.op_type == "Resize" and options.get("coordinate_transformation_mode", b"half_pixel") != b"half_pixel":
        return "not half-pixel"
    return ""
