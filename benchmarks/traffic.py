"""What an artefact computes and moves, read from the exported graph: one entry per operation a runtime executes.

MACs are those of convolutions and matrix products. Bytes are every input, weight and output of an operation once: what
crosses the memory system if nothing stays in a cache between two operations, and all of an operation fits within one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

FUSED = ("Relu", "Clip", "LeakyRelu")  # done by the convolution before it
WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")
TFLITE_BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1}  # of TensorType: float32, float16, int32, uint8 ...


@dataclass(frozen=True)
class Operation:
    """One kernel's work."""

    name: str  # of its output
    kind: str  # operator, in the format's own word
    macs: int
    bytes: int


def operations(path: Path) -> list[Operation]:
    """Of an .onnx or .tflite file, in order of execution."""
    return onnx_operations(path) if path.suffix == ".onnx" else tflite_operations(path)


def onnx_operations(path: Path) -> list[Operation]:
    """Activations behind a convolution count as fused with it, and Q/DQ pairs as the integers they stand for."""
    import onnx
    from onnx import helper

    from benchmarks.graphcost import node_macs

    graph = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True).graph
    shape = {one.name: tuple(one.dims) for one in graph.initializer}
    size = {one.name: helper.tensor_dtype_to_np_dtype(one.data_type).itemsize for one in graph.initializer}
    for one in (*graph.input, *graph.value_info, *graph.output):
        kind = one.type.tensor_type
        shape[one.name] = tuple(side.dim_value for side in kind.shape.dim)
        size[one.name] = helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize
    maker = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)

    def fused(node: Any) -> bool:
        before = maker.get(node.input[0])
        return node.op_type in FUSED and before is not None and before.op_type in WEIGHTED

    def stored(name: str) -> str:
        only = readers[name][0] if len(readers[name]) == 1 else None
        return stored(only.output[0]) if only and (fused(only) or only.op_type == "QuantizeLinear") else name

    def read(name: str) -> str:
        node = maker.get(name)
        return node.input[0] if node is not None and node.op_type == "DequantizeLinear" else name

    found = []
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Constant") or fused(node):
            continue
        given, made = [read(name) for name in node.input if name], [stored(name) for name in node.output if name]
        moved = sum(prod(shape[name]) * size[name] for name in (*given, *made) if name in shape)
        found.append(Operation(made[0], node.op_type, node_macs(node, shape), moved))
    return found


def tflite_operations(path: Path) -> list[Operation]:
    """Operations on constants alone (weights that are unpacked when the file is loaded) are left out."""
    from ai_edge_litert.tools import flatbuffer_utils

    from acwskd_edge.quiet import quiet_output

    with quiet_output():
        model = flatbuffer_utils.read_model(str(path))
    names = [flatbuffer_utils.opcode_to_name(model, index) for index in range(len(model.operatorCodes))]
    tensors = model.subgraphs[0].tensors

    def elements(index: int) -> int:
        shape = tensors[index].shape
        return prod(int(side) for side in shape) if shape is not None else 1

    found = []
    for op in model.subgraphs[0].operators:
        kind = names[op.opcodeIndex]
        given, made = [int(index) for index in op.inputs if index >= 0], [int(index) for index in op.outputs]
        if all(model.buffers[tensors[index].buffer].data is not None for index in given):
            continue
        macs = 0
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            weights = tensors[given[1]].shape
            macs = elements(made[0]) * prod(int(side) for side in weights[1 : 3 if kind[0] == "D" else None])
        elif kind == "TRANSPOSE_CONV":
            macs = elements(given[2]) * prod(int(side) for side in tensors[given[1]].shape[:3])
        moved = sum(elements(index) * TFLITE_BYTES[tensors[index].type] for index in (*given, *made))
        found.append(Operation(tensors[made[0]].name.decode(), kind, macs, moved))
    return found
