"""Target onnx: one .onnx file, opset 20, static shapes, the contract in its metadata.

Input `image` is float32 (tensor) or the contract's own pixel dtype (raw: uint8 or int16); output `logits` is float32
(1, K, h, w), or `mask` uint8 (1, h, w). Precisions:
    fp32  as traced, batch norm folded.
    fp16  network in float16 between two casts; the intensity rule in front and the argmax behind stay float32.
    int8  QDQ: int8 weights per channel, symmetric; uint8 activations, what ONNX Runtime's CPU kernels are made for.
          First and last convolution, the layers in `keep`, and all that surrounds the network, stay float32.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxsim
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from acwskd_edge.contract import Contract
from acwskd_edge.errors import RefusedError
from acwskd_edge.files import write_atomic
from acwskd_edge.preprocess import normalise
from convert.export import Job
from convert.layers import Node, left_out

OPSET = 20
CONTRACT_KEY = "acwskd_edge.contract"
WEIGHTED = ("Conv", "ConvTranspose")
NETWORK = (*WEIGHTED, "Relu", "MaxPool", "Concat", "Resize")  # what models/ is made of, batch norm folded
QUANTISED = (*WEIGHTED, "Relu", "MaxPool", "Concat")


def emit(job: Job) -> Path:
    """Write `<stem>.onnx` into the job's folder; two emits of one job are byte-identical.

    Raises:
        RefusedError: int8 without calibration images, a weight beyond float16, or a graph the ONNX checker rejects.
        UsageError: the folder cannot be written.
    """
    if job.precision == "int8" and not job.calibration:
        raise RefusedError("int8 needs calibration images", hint="give training images of the same data set")
    model = copy.deepcopy(job.once("onnx", lambda: trace(job)))
    if job.precision == "fp16":
        to_half(model.graph)
    elif job.precision == "int8":
        model = _quantise(model, job)
    clean(model, job.contract)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise RefusedError(f"ONNX checker rejects the {job.precision} graph ({error})") from error
    path = job.folder / f"{job.stem}.onnx"
    write_atomic(path, model.SerializeToString(deterministic=True))
    return path


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence what the exporter says about torchvision's absence and its own use of a deprecated call."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def trace(job: Job) -> onnx.ModelProto:
    """The float32 graph. onnxsim finds no node to drop here; it keeps other networks' constants folded."""
    dtype = getattr(torch, job.contract.pixel) if job.io == "raw" else torch.float32
    with _quiet_exporter():
        program = torch.onnx.export(
            job.graph,
            (torch.zeros(job.shape, dtype=dtype),),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=["image"],
            output_names=["mask" if job.io == "raw" else "logits"],
            verbose=False,
        )
    assert program is not None  # dynamo=True always returns one
    model, same = onnxsim.simplify(program.model_proto)
    if not same:
        raise RefusedError("onnxsim changed what the graph computes", hint="report it with the recipe")
    return model


def _network_span(graph: onnx.GraphProto) -> tuple[int, int]:
    """Indices of the network's first and last node; only the intensity rule and the argmax lie outside."""
    inside = [index for index, node in enumerate(graph.node) if node.op_type in NETWORK]
    return inside[0], inside[-1]


def to_half(graph: onnx.GraphProto) -> None:
    """Cast the network's weights to float16 in place and put a cast before and after it, in topological order."""
    first, last = _network_span(graph)
    nodes = list(graph.node)
    span = nodes[first : last + 1]
    weights = {name for node in span if node.op_type in WEIGHTED for name in node.input[1:]}
    for tensor in graph.initializer:
        if tensor.name in weights:
            values = numpy_helper.to_array(tensor)
            if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
                raise RefusedError(f"weight {tensor.name} does not fit float16", hint="use --precision fp32")
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
    source, target = span[0].input[0], span[-1].output[0]
    span[0].input[0], span[-1].output[0] = f"{source}_half", f"{target}_half"
    before = helper.make_node("Cast", [source], [f"{source}_half"], "to_half", to=TensorProto.FLOAT16)
    after = helper.make_node("Cast", [f"{target}_half"], [target], "to_float", to=TensorProto.FLOAT)
    ordered = [*nodes[:first], before, *span, after, *nodes[last + 1 :]]
    del graph.node[:]
    graph.node.extend(ordered)
    del graph.value_info[:]


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """The calibration images as the graph's input wants them."""

    def __init__(self, job: Job) -> None:
        self.feeds = iter([{"image": self.feed(pixels, job)} for pixels in job.calibration])

    @staticmethod
    def feed(pixels: NDArray[np.generic], job: Job) -> NDArray[np.generic]:
        """(h, w, C) pixels -> (1, C, h, w), normalised for io tensor."""
        if job.io == "raw":
            return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=job.contract.pixel)
        return normalise(pixels, job.contract)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """The next feed, None at the end."""
        return next(self.feeds, None)


def _quantise(model: onnx.ModelProto, job: Job) -> onnx.ModelProto:
    """Static QDQ quantisation on the calibration images (min and max), whose ranges jobs share."""
    nodes = model.graph.node
    kept = left_out(nodes_of(model.graph), job.layers if job.keep else [], job.keep)
    ranges = job.shared.get("onnx ranges")
    add_pre_process_metadata(model)  # folded and simplified already: nothing left for onnxruntime's own pass
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder) / "int8.onnx", Path(folder) / "ranges.json"
        if ranges is not None:
            cache.write_text(ranges)
        quantize_static(
            model,
            path,
            _Images(job),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[one.name for one in nodes if one.op_type != "Relu" and one.output[0] in kept],
            extra_options={"WeightSymmetric": True},
            calibration_cache_path=cache,
        )
        job.once("onnx ranges", cache.read_text)
        return onnx.load(path)


def nodes_of(graph: onnx.GraphProto) -> list[Node]:
    """The graph as `left_out` reads it."""
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    return [
        Node(one.output[0], tuple(one.input), shapes[one.input[1]] if one.op_type in WEIGHTED else None)
        for one in graph.node
    ]


def clean(model: onnx.ModelProto, contract: Contract) -> None:
    """Drop what the tools left behind (paths of this machine, stack traces, versions) and write the contract."""
    graph = model.graph
    for field in ("node", "initializer", "input", "output"):
        for item in getattr(graph, field):
            item.ClearField("metadata_props")
            item.ClearField("doc_string")
    for field in ("metadata_props", "doc_string", "value_info"):
        graph.ClearField(field)
    for field in ("metadata_props", "doc_string", "producer_version", "domain"):
        model.ClearField(field)
    model.producer_name, graph.name = "acwskd-edge", contract.name
    helper.set_model_props(model, {CONTRACT_KEY: contract.to_json()})
