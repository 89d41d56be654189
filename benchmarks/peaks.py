"""The most a runtime's own kernels and the memory do on this machine: the two roofs of a roofline. One thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acwskd_edge.bench.latency import interleave
from acwskd_edge.preprocess import normalise
from benchmarks.cost import macs
from benchmarks.emitted import Kind, blank_contract, emit, forward, noise

DEPTH = 4  # convolutions of a probe, so that its first and last layer weigh nothing
CLASSES = 2
GEMM = 1024  # side of the square matrices
COPIED = tuple(1 << power for power in range(16, 30, 2))  # bytes copied: 64 KiB to 256 MiB; twice as many move
COPY_SECONDS = 0.2


@dataclass(frozen=True)
class Probe:
    """A stack of equal convolutions, wide and regular: what kernels are written for."""

    kernel: int
    width: int
    side: int

    @property
    def name(self) -> str:
        """For instance `conv3x3 256ch 28x28`; a 1x1 convolution is a matrix product."""
        return f"conv{self.kernel}x{self.kernel} {self.width}ch {self.side}x{self.side}"

    def build(self) -> nn.Module:
        """One channel in, two classes out, between them `DEPTH` convolutions and ReLUs."""
        layers: list[nn.Module] = [nn.Conv2d(1, self.width, 1), nn.ReLU()]
        for _ in range(DEPTH):
            layers += [nn.Conv2d(self.width, self.width, self.kernel, padding=self.kernel // 2), nn.ReLU()]
        torch.manual_seed(0)
        return nn.Sequential(*layers, nn.Conv2d(self.width, CLASSES, 1)).eval()


PROBES = (Probe(3, 64, 64), Probe(3, 128, 32), Probe(3, 256, 32), Probe(3, 512, 16), Probe(1, 512, 32))


def probe_calls(kinds: Sequence[Kind], folder: Path) -> tuple[dict[str, Callable[[], object]], dict[str, int]]:
    """Every probe in every runtime and precision; returns the calls, and the MACs of each."""
    calls: dict[str, Callable[[], object]] = {}
    work: dict[str, int] = {}
    for probe in PROBES:
        contract = blank_contract(1, CLASSES, probe.side)
        network = probe.build()
        count = macs(network, 1, probe.side, probe.side)
        place = folder / probe.name.replace(" ", "-")
        for kind, found in emit(probe.name, contract, kinds, place, lambda built=network: built)[1].items():  # type: ignore[misc]
            if isinstance(found, Path):
                calls[f"{':'.join(kind)} {probe.name}"] = forward(found, kind, contract)
        image = torch.from_numpy(normalise(noise(contract)[0], contract))
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            calls[f"torch:{name} {probe.name}"] = torch_call(probe.build(), image, dtype)
        work |= {key: count for key in calls if key.endswith(f" {probe.name}")}
    products = gemm_calls()
    return calls | products, work | dict.fromkeys(products, GEMM**3)


def torch_call(network: nn.Module, image: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    """Eager, channels last, as torch's convolutions are fastest."""
    network = network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = image.to(dtype).contiguous(memory_format=torch.channels_last)
    return partial(torch.inference_mode()(network), image)


def gemm_calls() -> dict[str, Callable[[], object]]:
    """Square matrix products: ONNX Runtime in float32 and uint8 x int8, torch in float32 and bfloat16."""
    import onnxruntime as ort
    from onnx import TensorProto, helper

    generator = np.random.default_rng(0)
    calls: dict[str, Callable[[], object]] = {}
    types = {
        "fp32": (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT, "MatMul", np.float32, np.float32),
        "int8": (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, "MatMulInteger", np.uint8, np.int8),
    }
    for name, (left, right, out, op, left_type, right_type) in types.items():
        values = generator.integers(0, 100, (2, GEMM, GEMM))
        weight = helper.make_tensor("b", right, (GEMM, GEMM), values[1].astype(right_type).tobytes(), raw=True)
        graph = helper.make_graph(
            [helper.make_node(op, ["a", "b"], ["c"])],
            "gemm",
            [helper.make_tensor_value_info("a", left, (GEMM, GEMM))],
            [helper.make_tensor_value_info("c", out, (GEMM, GEMM))],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        feed = {"a": values[0].astype(left_type)}
        calls[f"onnxruntime:{name} gemm {GEMM}"] = partial(session.run, None, feed)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        matrix = torch.rand(GEMM, GEMM).to(dtype)
        calls[f"torch:{name} gemm {GEMM}"] = partial(torch.mm, matrix, matrix)
    return calls


def measure_peaks(kinds: Sequence[Kind], folder: Path, runs: int) -> dict[str, Any]:
    """Runtime and precision -> every probe's best rate in GMAC/s, and the highest of them, its peak."""
    calls, work = probe_calls(kinds, folder)
    found: dict[str, Any] = {}
    for key, timings in interleave(calls, runs, seconds_per_subject=3.0).items():
        kind, _, probe = key.partition(" ")
        rate = round(work[key] / min(timings.milliseconds) / 1e6, 2)
        found.setdefault(kind, {"probes": {}})["probes"][probe] = rate
    for entry in found.values():
        entry["best_probe"] = max(entry["probes"], key=entry["probes"].get)
        entry["peak_gmacs"] = entry["probes"][entry["best_probe"]]
    return found


def copy_bandwidth() -> list[dict[str, float]]:
    """GB/s (10^9 bytes read and written) of numpy's copy, which is memcpy, by the bytes that move."""
    found = []
    for size in COPIED:
        source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
        seconds: list[float] = []
        finish = time.perf_counter() + COPY_SECONDS
        while time.perf_counter() < finish or len(seconds) < 5:
            started = time.perf_counter()
            np.copyto(target, source)
            seconds.append(time.perf_counter() - started)
        found.append({"bytes": 2 * size, "gb_per_s": round(2 * size / median(seconds) / 1e9, 2)})
    return found
