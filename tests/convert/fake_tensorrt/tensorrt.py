"""A FAKE of TensorRT on a GPU, for tests alone: TensorRT-RTX's real parser and builder, but no GPU.

`Builder` puts the ONNX graph in front of the engine that NVIDIA's builder makes for SM86; `Runtime` throws the engine
away and lets ONNX Runtime execute the graph on the CPU. So kits, gates and timings meet TensorRT's API and true masks.
With a file `broken-gpu` in the home folder, every output is zero.
"""

import ctypes
from pathlib import Path

import numpy as np
import tensorrt_rtx_bindings as real
from tensorrt_rtx_bindings import *  # noqa: F403

__version__ = "10.3.0.fake"
MARK = b"FAKE ENGINE"
graphs = []


class OnnxParser(real.OnnxParser):
    """Remembers the graph."""

    def parse(self, content):
        graphs[:] = [content]
        return super().parse(content)


class Builder(real.Builder):
    """Builds for SM86, as no GPU says what it is."""

    def build_serialized_network(self, network, config):
        config.num_compute_capabilities = 1
        config.set_compute_capability(real.ComputeCapability.SM86, 0)
        plan = super().build_serialized_network(network, config)
        return None if plan is None else MARK + len(graphs[0]).to_bytes(8, "little") + graphs[0] + bytes(plan)


class Runtime:
    """Reads what `Builder` wrote."""

    def __init__(self, log):
        self.log = log

    def deserialize_cuda_engine(self, content):
        if not content.startswith(MARK):
            return None
        start = len(MARK) + 8
        return Engine(content[start : start + int.from_bytes(content[len(MARK) : start], "little")])


class Engine:
    """The graph in ONNX Runtime; also its own execution context."""

    def __init__(self, graph):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.inputs, self.outputs = self.session.get_inputs(), self.session.get_outputs()
        self.num_io_tensors = len(self.inputs) + len(self.outputs)
        self.addresses = {}

    def tensor(self, name):
        return next(one for one in self.inputs + self.outputs if one.name == name)

    def get_tensor_name(self, index):
        return (self.inputs + self.outputs)[index].name

    def get_tensor_mode(self, name):
        inside = name in [one.name for one in self.inputs]
        return real.TensorIOMode.INPUT if inside else real.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name):
        return tuple(self.tensor(name).shape)

    def get_tensor_dtype(self, name):
        return {"tensor(float)": real.float32, "tensor(uint8)": real.uint8}[self.tensor(name).type]

    def create_execution_context(self):
        return self

    def create_engine_inspector(self):
        return self

    def get_engine_information(self, form):
        return "{}"

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def memory(self, name):
        """A tensor where CUDA was told that it lies."""
        shape, dtype = self.get_tensor_shape(name), np.dtype(real.nptype(self.get_tensor_dtype(name)))
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer((ctypes.c_char * size).from_address(self.addresses[name]), dtype).reshape(shape)

    def execute_async_v3(self, stream):
        feeds = {one.name: self.memory(one.name) for one in self.inputs}
        for one, value in zip(self.outputs, self.session.run(None, feeds), strict=True):
            self.memory(one.name)[...] = value * (not (Path.home() / "broken-gpu").exists())
        return stream != 0
