"""Target tflite: one .tflite file, NHWC inside, static shapes, the contract among its metadata.

Input `image` is float32 normalised (tensor); for io raw it is uint8 pixels, or float32 pixels where the contract's are
int16. Output `logits` is float32 (1, h, w, K), or `mask` uint8 (1, h, w). Precisions:
    fp32  batch norm and ReLU folded into the convolutions.
    fp16  float16 weights, which XNNPACK unpacks once when it loads; half the file.
    int8  int8 weights per channel and int8 activations; first and last convolution, the layers in `keep`, and all that
          surrounds the network (input, output, intensity rule, argmax), stay float32.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import flatbuffers
import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor
from ai_edge_quantizer.utils import qsv_utils
from numpy.typing import NDArray
from torch import Tensor, nn

from acwskd_edge.errors import ContractError, RefusedError, UsageError
from acwskd_edge.files import write_atomic
from acwskd_edge.preprocess import normalise
from acwskd_edge.quiet import quiet_output
from convert.export import Job, RawGraph, unconvertible
from convert.layers import Node, left_out

CONTRACT_KEY = "acwskd_edge.contract"
Op = qtyping.TFLOperationName
WEIGHTED = (Op.CONV_2D, Op.DEPTHWISE_CONV_2D, Op.CONV_2D_TRANSPOSE)
QUANTISED = (*WEIGHTED, Op.MAX_POOL_2D, Op.CONCATENATION)
quantize_tensor = uniform_quantize_tensor.uniform_quantize
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")  # the same three in a file's words


def emit(job: Job) -> Path:
    """Write `<stem>.tflite` into the job's folder; two emits of one job are byte-identical.

    Raises:
        RefusedError: the graph has a transposition, or int8 was asked for without calibration images.
        UsageError: the folder cannot be written.
    """
    if job.precision == "int8" and not job.calibration:
        raise RefusedError("int8 needs calibration images", hint="give training images of the same data set")
    with _quiet():
        model = _read(job.once("tflite", lambda: _pack(_trace(job))))
        if job.precision == "fp16":
            model = _to_half(model)
        elif job.precision == "int8":
            model = _quantise(model, job)
    _embed(model, job.contract.to_json())
    path = job.folder / f"{job.stem}.tflite"
    write_atomic(path, _pack(model))
    return path


def read_contract(path: Path) -> str:
    """The JSON text of the contract embedded in a .tflite file.

    Raises:
        UsageError: the file cannot be read as TFLite.
        ContractError: it carries no contract.
    """
    try:
        model = flatbuffer_utils.read_model(str(path))
    except Exception as error:  # a flatbuffer has no checksum: damage shows as any error at all
        raise UsageError(f"{path} is not a readable TFLite file ({error})") from error
    for entry in model.metadata or []:
        if entry.name == CONTRACT_KEY.encode():
            return bytes(model.buffers[entry.buffer].data).decode()
    raise ContractError(f"{path} carries no contract", hint="convert it again: python -m convert --target tflite")


@dataclass(frozen=True)
class Coverage:
    """How much of a graph the XNNPACK delegate executes."""

    operators: int
    delegated: int
    delegates: int

    @property
    def whole(self) -> bool:
        """Every operator lies in one single delegate."""
        return self.delegates == 1 and self.delegated == self.operators


def delegate_coverage(path: Path) -> Coverage:
    """Load a .tflite file and count the operators between the inputs and outputs of its delegates."""
    with _quiet():
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
    steps = interpreter._get_ops_details()  # the only way to see delegates from Python
    delegates = [step for step in steps if step["op_name"] == "DELEGATE"]
    operators = [step for step in steps if step["op_name"] != "DELEGATE"]
    maker = {int(tensor): index for index, step in enumerate(operators) for tensor in step["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        inputs = {int(tensor) for tensor in delegate["inputs"]}
        todo = [int(tensor) for tensor in delegate["outputs"]]
        while todo:
            index = maker.get(todo.pop())
            if index is not None and index not in taken:
                taken.add(index)
                todo += [int(tensor) for tensor in operators[index]["inputs"] if int(tensor) not in inputs]
    return Coverage(len(operators), len(taken), len(delegates))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the tools print and two known warnings."""
    with quiet_output(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        warnings.filterwarnings("ignore", r".*experimental_preserve_all_tensors", UserWarning)
        yield


class _ChannelsLast(nn.Module):
    """A job's graph with NHWC input and output; the argmax runs over the last axis, where TFLite wants it."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.wrapped = graph  # not `graph`: torch.export keeps that name for itself

    def forward(self, image: Tensor) -> Tensor:
        """(1, h, w, C) -> logits (1, h, w, K), or uint8 mask (1, h, w) of a raw graph."""
        image = image.permute(0, 3, 1, 2)
        raw = self.wrapped
        if not isinstance(raw, RawGraph):
            return raw(image).permute(0, 2, 3, 1)
        return raw.tail(raw.network(raw.normalise(image)).permute(0, 2, 3, 1), -1)


def _input_dtype(job: Job) -> torch.dtype:
    return torch.uint8 if job.io == "raw" and job.contract.pixel == "uint8" else torch.float32


def _trace(job: Job) -> Any:
    """The float32 flatbuffer (a ModelT), its tensors named t0, t1 ... instead of by hundreds of letters each."""
    import litert_torch  # here, and not above, because the import itself prints

    _, channels, height, width = job.shape
    sample = torch.zeros((1, height, width, channels), dtype=_input_dtype(job))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        try:
            litert_torch.convert(_ChannelsLast(job.graph).eval(), (sample,)).export(str(path))
        except (ValueError, NotImplementedError) as error:
            raise unconvertible("litert-torch", error) from error
        model = _read(path.read_bytes())
    if "TRANSPOSE" in _op_names(model):
        raise RefusedError("TFLite graph with a TRANSPOSE operator", hint="python -m convert.lint names the layer")
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    for index, tensor in enumerate(graph.tensors):
        tensor.name = f"t{index}".encode()
    output = b"mask" if job.io == "raw" else b"logits"
    graph.tensors[graph.inputs[0]].name = signature.inputs[0].name = b"image"
    graph.tensors[graph.outputs[0]].name = signature.outputs[0].name = output
    return model


def _op_names(model: Any) -> list[str]:
    """Names of the operators in order of execution."""
    codes = [flatbuffer_utils.opcode_to_name(model, index) for index in range(len(model.operatorCodes))]
    return [codes[op.opcodeIndex] for op in model.subgraphs[0].operators]


def _nodes(model: Any) -> list[Node]:
    """The graph as `left_out` reads it."""
    tensors = model.subgraphs[0].tensors
    return [
        Node(
            tensors[op.outputs[0]].name.decode(),
            tuple(tensors[index].name.decode() for index in op.inputs if index >= 0),
            tuple(tensors[op.inputs[1]].shape) if name in CONVOLUTIONS else None,
        )
        for op, name in zip(model.subgraphs[0].operators, _op_names(model), strict=True)
    ]


def _keep_float(recipe: recipe_manager.RecipeManager, output: str) -> None:
    """Exempt the operator that produces this tensor."""
    recipe.add_quantization_config(f"^{output};$", Op.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE)


def _to_half(model: Any) -> Any:
    """Weights of the convolutions in float16."""
    recipe = recipe_manager.RecipeManager()
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    for op in WEIGHTED:
        recipe.add_quantization_config(".*", op, config, AlgorithmName.FLOAT_CASTING)
    first = next(node for node in _nodes(model) if node.weight is not None)
    _keep_float(recipe, first.output)  # in a raw graph it has absorbed 1/std: too small for float16
    return _apply(_pack(model), recipe, {})


def _feed(pixels: NDArray[np.generic], job: Job) -> NDArray[np.generic]:
    """(h, w, C) pixels -> the graph's input (1, h, w, C)."""
    if job.io == "raw":
        return pixels[None].astype(str(_input_dtype(job)).removeprefix("torch."))
    return np.ascontiguousarray(normalise(pixels, job.contract).transpose(0, 2, 3, 1))


def _quantise(model: Any, job: Job) -> Any:
    """Static int8 on the smallest and largest values seen in the calibration images.

    The quantizer's own default, a moving average, leans on the first images and lost six times more on the logits.
    """
    recipe = recipe_manager.RecipeManager()
    for op in QUANTISED:
        recipe.add_static_config(".*", op, activation_num_bits=8, weight_num_bits=8)
    content = _pack(model)

    def ranges() -> dict[str, Any]:
        tool = calibrator.Calibrator(content, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
        feeds = [{"image": _feed(pixels, job)} for pixels in job.calibration]
        tool.calibrate({model.signatureDefs[0].signatureKey.decode(): feeds}, recipe)
        return tool.get_model_qsvs()

    seen = job.once("tflite ranges", ranges)
    for output in sorted(left_out(_nodes(model), job.layers if job.keep else [], job.keep)):
        _keep_float(recipe, output)
    return _apply(content, recipe, copy.deepcopy(seen))


def _apply(content: bytes, recipe: recipe_manager.RecipeManager, ranges: dict[str, Any]) -> Any:
    """Run the quantizer on a float file."""
    tool = quantizer.Quantizer(content, recipe.get_quantization_recipe())
    with mock.patch.object(uniform_quantize_tensor, "uniform_quantize", _uniform_quantize):
        result = tool.quantize(ranges)
    return _read(result.quantized_model)


def _read(content: bytes) -> Any:
    """File -> ModelT."""
    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def _uniform_quantize(values: NDArray[Any], params: Any, is_blockwise_quant: bool = False) -> NDArray[Any]:
    """ai-edge-quantizer's function, handing it per-channel weights as a matrix.

    Its branch for tensors above 32 MiB (unet64's 1024 x 3 x 3 x 1024 convolution) flattens the weights to two
    dimensions but not their scales, and fails to broadcast them (seen in 0.10.0).
    """
    if values.ndim <= 2 or params.quantized_dimension != 0 or is_blockwise_quant:
        return np.asarray(quantize_tensor(values, params, is_blockwise_quant))
    flat = replace(params, scale=params.scale.reshape(-1, 1), zero_point=params.zero_point.reshape(-1, 1))
    matrix = quantize_tensor(values.reshape(len(values), -1), flat, False)
    return np.asarray(matrix.reshape(values.shape))


def _embed(model: Any, contract: str) -> None:
    """Write the contract as a metadata entry."""
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(contract.encode(), np.uint8)
    entry.name, entry.buffer = CONTRACT_KEY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    model.description = "acwskd-edge"


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """The schema wants constants on 16-byte boundaries; Python's flatbuffers does not know `force_align`."""

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:
        """Align, then write."""
        self.Prep(16, x.nbytes)
        return super().CreateNumpyVector(x)


def _pack(model: Any) -> bytes:
    """ModelT -> file. Constants as arrays, because any other buffer is written byte by byte in Python."""
    for buffer in model.buffers:
        if buffer.data is not None:
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    builder = _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
