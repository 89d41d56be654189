"""Targets jetson and rtx: the ONNX graph that an engine is built from, its precision baked in, opset 17, static shapes.

TensorRT 11 has no flags for fp16 and int8 and no calibration: what the graph says is what runs. The same graph serves
TensorRT 8.6, 10 and 11 and TensorRT-RTX. An engine is bound to its GPU, so it is built there, by the kit of `kits.py`.

Input `image` is float32 (tensor), or for io raw uint8 pixels, float32 ones where the contract's are int16, which
TensorRT does not know; output `logits` float32 (1, K, h, w), or `mask` uint8 (1, h, w). Precisions:
    fp32  as traced, batch norm folded.
    fp16  network in float16 between two casts; the intensity rule in front and the argmax behind stay float32.
    int8  explicit Q/DQ, symmetric: all zero points 0, one scale a tensor, one a channel of weights. Weights stay
          float32 in the file, behind their own Q and DQ, which is the only form that TensorRT 8 takes too. Between a
          convolution and its ReLU there is no Q/DQ, so that they fuse; around a pooling and a concatenation one scale
          serves all tensors. First and last convolution, the layers in `keep`, and the surroundings, stay float32.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

from acwskd_edge.errors import RefusedError
from acwskd_edge.files import write_atomic
from acwskd_edge.preprocess import normalise
from convert.export import Job
from convert.graphlint import WEIGHT_AXIS, faults
from convert.layers import left_out
from convert.targets.onnx import WEIGHTED, clean, nodes_of, to_half, trace

OPSET, IR_VERSION = 17, 8  # what TensorRT 8.6 reads
ONE_SCALE = ("MaxPool", "Concat")  # an int8 result of these has the scale of what they read
STEPS = 127  # symmetric int8

Ranges = dict[str, float]
"""Tensor -> largest magnitude over the calibration images."""


def emit(job: Job) -> Path:
    """Write `<stem>.onnx` into the job's folder; two emits of one job are byte-identical.

    Raises:
        RefusedError: int8 without calibration images, a weight beyond float16, a graph that is no legal opset 17, or
            one that TensorRT would refuse or not run as asked.
        UsageError: the folder cannot be written.
    """
    if job.precision == "int8" and not job.calibration:
        raise RefusedError("int8 needs calibration images", hint="give training images of the same data set")
    model = copy.deepcopy(job.once("jetson", lambda: to_tensorrt(trace(job))))
    if job.precision == "fp16":
        to_half(model.graph)
    elif job.precision == "int8":
        quantise(model.graph, job)
    clean(model, job.contract)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise RefusedError(f"ONNX checker rejects the {job.precision} graph ({error})") from error
    if found := faults(model):
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise RefusedError(f"TensorRT will not run the {job.precision} graph as asked: {found[0]}{more}")
    path = job.folder / f"{job.stem}.onnx"
    write_atomic(path, model.SerializeToString(deterministic=True))
    return path


def to_tensorrt(model: onnx.ModelProto) -> onnx.ModelProto:
    """A traced graph in opset 17, with the input and output types that TensorRT has.

    Raises:
        RefusedError: an operator that opset 17 cannot express.
    """
    try:
        model = version_converter.convert_version(model, OPSET)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise RefusedError(f"the network cannot be written in opset {OPSET} ({reason})") from error
    model.ir_version = IR_VERSION
    graph = model.graph
    for node in graph.node:
        # The converter turns a reduction's axes back into an attribute, and leaves this one of opset 18.
        for left in [one for one in node.attribute if one.name == "noop_with_empty_axes"]:
            node.attribute.remove(left)
    image, output = graph.input[0], graph.output[0]
    if image.type.tensor_type.elem_type == TensorProto.INT16:
        image.type.tensor_type.elem_type = TensorProto.FLOAT
    if output.type.tensor_type.elem_type == TensorProto.UINT8:
        # TensorRT makes uint8 of floats only.
        cast = graph.node[-1]
        graph.node.insert(
            len(graph.node) - 1,
            helper.make_node("Cast", [cast.input[0]], ["classes"], "to_float_classes", to=TensorProto.FLOAT),
        )
        cast.input[0] = "classes"
    return model


def feed(pixels: NDArray[np.generic], job: Job) -> NDArray[np.generic]:
    """Calibration pixels (h, w, C) -> the graph's input (1, C, h, w)."""
    if job.io == "raw":
        dtype = np.uint8 if job.contract.pixel == "uint8" else np.float32
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=dtype)
    return normalise(pixels, job.contract)


def quantise(graph: onnx.GraphProto, job: Job) -> None:
    """Put Q/DQ pairs on the weights of the quantised layers and on the tensors they read, in place."""
    left = left_out(nodes_of(graph), job.layers if job.keep else [], job.keep)
    chosen = [one for one in graph.node if one.op_type in (*WEIGHTED, *ONE_SCALE) and one.output[0] not in left]
    if not chosen:
        return
    source = copy.deepcopy(graph)
    ranges = job.once("jetson ranges", lambda: activation_ranges(source, job))
    scales = shared_scales(graph, chosen, ranges)
    weights = {one.name: one for one in graph.initializer}
    tensors = {name for one in chosen for name in activations_of(one)}
    tensors |= {one.output[0] for one in chosen if one.op_type in ONE_SCALE}
    ordered: list[onnx.NodeProto] = []
    for node in graph.node:
        if any(node is one for one in chosen):
            if node.op_type in WEIGHTED:
                axis = WEIGHT_AXIS[node.op_type]
                values = numpy_helper.to_array(weights[node.input[1]])
                ordered += pair(graph, node.input[1], weight_scales(values, axis), axis)
                node.input[1] = f"{node.input[1]}_dq"
            for i, name in enumerate(node.input):
                if name in tensors:
                    node.input[i] = f"{name}_dq"
        ordered.append(node)
        for name in node.output:
            if name in tensors:
                ordered += pair(graph, name, np.float32(scales[name] / STEPS), None)
    del graph.node[:]
    graph.node.extend(ordered)


def activations_of(node: onnx.NodeProto) -> list[str]:
    """The tensors a node reads, without weights and bias."""
    return list(node.input[:1] if node.op_type in WEIGHTED else node.input)


def activation_ranges(graph: onnx.GraphProto, job: Job) -> Ranges:
    """Run the calibration images through the float32 graph with every tensor as an output.

    Raises:
        RefusedError: a value is infinite or not a number.
    """
    probe = helper.make_model(copy.deepcopy(graph), opset_imports=[helper.make_opsetid("", OPSET)])
    probe.ir_version = IR_VERSION
    names = [one.output[0] for one in graph.node if one.op_type not in ("Cast", "ArgMax")]
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ranges: Ranges = dict.fromkeys(names, 0.0)
    for pixels in job.calibration:
        for name, value in zip(names, session.run(names, {"image": feed(pixels, job)}), strict=True):
            if not np.isfinite(value).all():
                raise RefusedError(f"tensor {name} holds NaN or infinite values on a calibration image")
            ranges[name] = max(ranges[name], float(np.abs(value).max()))
    return ranges


def shared_scales(graph: onnx.GraphProto, chosen: Collection[onnx.NodeProto], ranges: Ranges) -> Ranges:
    """Ranges where all tensors round a pooling or concatenation have the widest of theirs; a dead tensor gets 1."""
    group = {name: name for name in ranges}

    def root(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for node in chosen:
        if node.op_type in ONE_SCALE:
            for name in node.input:
                group[root(name)] = root(node.output[0])
    widest: Ranges = {}
    for name, value in ranges.items():
        widest[root(name)] = max(widest.get(root(name), 0.0), value)
    return {name: widest[root(name)] or 1.0 for name in ranges}


def weight_scales(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """One scale per output channel; 1 for a channel of zeros."""
    others = tuple(i for i in range(values.ndim) if i != axis)
    widest = np.abs(values).max(axis=others)
    return np.asarray(np.where(widest == 0, STEPS, widest) / STEPS, np.float32)


def pair(
    graph: onnx.GraphProto, name: str, scale: NDArray[np.float32] | np.float32, axis: int | None
) -> Iterator[onnx.NodeProto]:
    """Q and DQ of a tensor: `<name>` -> `<name>_dq`; their constants go into the graph."""
    scales = np.asarray(scale, np.float32)
    for suffix, values in (("scale", scales), ("zero", np.zeros(scales.shape, np.int8))):
        graph.initializer.append(numpy_helper.from_array(values, f"{name}_{suffix}"))
    constants = [f"{name}_scale", f"{name}_zero"]
    options = {} if axis is None else {"axis": axis}
    yield helper.make_node("QuantizeLinear", [name, *constants], [f"{name}_q"], f"{name}_quantize", **options)
    yield helper.make_node(
        "DequantizeLinear", [f"{name}_q", *constants], [f"{name}_dq"], f"{name}_dequantize", **options
    )
