"""Stand-in for TensorRT's Python API of 8.6, 10.3 or 11.4 (FAKE_TENSORRT), where no real one can be: its names, no GPU.

An engine is the ONNX graph itself, executed by ONNX Runtime on the addresses it is given. What a version does not have
is absent here too. FAKE_WRONG makes the engine answer with class 0 everywhere, as a broken kernel would.
"""

from __future__ import annotations

import ctypes
import enum
import os
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

__version__ = os.environ.get("FAKE_TENSORRT", "10.3.0")
MAJOR = int(__version__.split(".")[0])

DataType = enum.Enum("DataType", "FLOAT HALF INT8 INT32 UINT8")
int8 = DataType.INT8
LayerType = enum.Enum("LayerType", "CONVOLUTION DECONVOLUTION DEQUANTIZE QUANTIZE OTHER")
MemoryPoolType = enum.Enum("MemoryPoolType", "WORKSPACE")
ProfilingVerbosity = enum.Enum("ProfilingVerbosity", "DETAILED")
LayerInformationFormat = enum.Enum("LayerInformationFormat", "ONELINE JSON")
TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT")
DeviceType = enum.Enum("DeviceType", "GPU DLA")
FLAGS = {8: "EXPLICIT_BATCH", 10: "EXPLICIT_BATCH STRONGLY_TYPED", 11: "STRONGLY_TYPED"}[MAJOR]
NetworkDefinitionCreationFlag = enum.IntEnum("NetworkDefinitionCreationFlag", FLAGS, start=0)
BuilderFlag = enum.Enum("BuilderFlag", "TF32 GPU_FALLBACK" + (" FP16 INT8" if MAJOR < 11 else ""))
TYPES = {onnx.TensorProto.FLOAT: DataType.FLOAT, onnx.TensorProto.UINT8: DataType.UINT8}
KINDS = {"Conv": "CONVOLUTION", "ConvTranspose": "DECONVOLUTION", "DequantizeLinear": "DEQUANTIZE"}


def numpy_type(dtype: DataType) -> Any:
    return {DataType.FLOAT: np.float32, DataType.UINT8: np.uint8}[dtype]


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class Tensor:
    def __init__(self, name: str, dtype: DataType) -> None:
        self.name, self.dtype = name, dtype


class Layer:
    def __init__(self, node: onnx.NodeProto, types: dict[str, DataType]) -> None:
        self.type = LayerType[KINDS.get(node.op_type, "OTHER")]
        self.tensors = [Tensor(name, types.get(name, DataType.FLOAT)) for name in node.input]
        self.outputs = [Tensor(name, types.get(name, DataType.FLOAT)) for name in node.output]
        self.num_inputs, self.num_outputs = len(self.tensors), len(self.outputs)

    def get_input(self, index: int) -> Tensor:
        return self.tensors[index]

    def get_output(self, index: int) -> Tensor:
        return self.outputs[index]


class Network:
    def __init__(self, flags: int) -> None:
        self.flags, self.content, self.layers, self.name = flags, b"", [], "Unnamed Network 0"

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]


class OnnxParser:
    def __init__(self, network: Network, logger: ILogger) -> None:
        self.network, self.errors = network, []

    def parse(self, content: bytes) -> bool:
        graph = onnx.load_from_string(content).graph
        types = {one.output[0]: DataType.INT8 for one in graph.node if one.op_type == "QuantizeLinear"}
        self.network.content, self.network.layers = content, [Layer(one, types) for one in graph.node]
        return True


class IProgressMonitor:
    def __init__(self) -> None: ...


if MAJOR == 8:
    del IProgressMonitor  # came with TensorRT 9


class Cache:
    def serialize(self) -> bytes:
        return b"timings"


class Config:
    def __init__(self) -> None:
        self.limits: dict[MemoryPoolType, int] = {}
        self.on = {BuilderFlag.TF32}
        if MAJOR > 8:
            self.progress_monitor = None

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        self.limits[pool] = size

    def set_flag(self, flag: BuilderFlag) -> None:
        self.on.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.on.discard(flag)

    def create_timing_cache(self, content: bytes) -> Cache:
        assert content in (b"", b"timings")
        return Cache()

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        return not ignore_mismatch

    def can_run_on_DLA(self, layer: Layer) -> bool:
        return layer.type != LayerType.OTHER


class Builder:
    num_DLA_cores = int(os.environ.get("FAKE_DLA_CORES", "0"))

    def __init__(self, logger: ILogger) -> None: ...

    def create_network(self, flags: int) -> Network:
        return Network(flags)

    def create_builder_config(self) -> Config:
        return Config()

    def build_serialized_network(self, network: Network, config: Config) -> bytes:
        assert BuilderFlag.TF32 not in config.on
        assert config.limits
        strong = MAJOR > 8 and network.flags >> NetworkDefinitionCreationFlag.STRONGLY_TYPED & 1
        dla = getattr(config, "default_device_type", None) is DeviceType.DLA
        assert strong or MAJOR == 8 or dla
        if strong:
            assert config.on <= {BuilderFlag.GPU_FALLBACK}, "a strongly typed network takes no precision flags"
        elif any(layer.type is LayerType.DEQUANTIZE for layer in network.layers):
            assert BuilderFlag.INT8 in config.on, "Q/DQ needs the INT8 flag"
        if MAJOR == 8:
            assert network.flags == 1, "an ONNX network needs an explicit batch"
        if monitor := getattr(config, "progress_monitor", None):
            monitor.phase_start("Building", "", 2)
            assert monitor.step_complete("Building", 1)
            monitor.phase_finish("Building")
        return b"ENGINE" + network.name.encode() + b"\0" + network.content


class Inspector:
    def get_engine_information(self, form: LayerInformationFormat) -> str:
        return '{"Layers": []}'


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.addresses = engine, {}
        launch = ctypes.CFUNCTYPE(None)
        self.launch = launch(self.run)
        self.library = ctypes.CDLL(os.environ["ACWSKD_CUDART"])

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        self.library.fake_execute(self.launch)
        return stream != 0

    def view(self, name: str) -> Any:
        shape, dtype = self.engine.get_tensor_shape(name), np.dtype(numpy_type(self.engine.get_tensor_dtype(name)))
        raw = (ctypes.c_char * (int(np.prod(shape)) * dtype.itemsize)).from_address(self.addresses[name])
        return np.frombuffer(raw, dtype).reshape(shape)

    def run(self) -> None:
        result = self.engine.session.run(None, {self.engine.names[0]: self.view(self.engine.names[0])})[0]
        self.view(self.engine.names[1])[...] = 0 if os.environ.get("FAKE_WRONG") else result


class Engine:
    def __init__(self, content: bytes) -> None:
        graph = onnx.load_from_string(content).graph
        self.values = {one.name: one.type.tensor_type for one in (*graph.input, *graph.output)}
        self.names = [graph.input[0].name, graph.output[0].name]
        self.num_io_tensors = 2
        self.session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])

    def create_execution_context(self) -> Context:
        return Context(self)

    def create_engine_inspector(self) -> Inspector:
        return Inspector()

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == self.names[0] else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(one.dim_value for one in self.values[name].shape.dim)

    def get_tensor_dtype(self, name: str) -> DataType:
        return TYPES[self.values[name].elem_type]


class Runtime:
    def __init__(self, logger: ILogger) -> None: ...

    def deserialize_cuda_engine(self, content: bytes) -> Engine | None:
        return Engine(content.partition(b"\0")[2]) if content.startswith(b"ENGINE") else None
