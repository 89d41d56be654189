"""Build the engine from model.onnx: writes the engine, its fingerprint `<engine>.json`, and build.json.

TensorRT 10 and 11: a strongly typed network, so that the graph alone says what is fp16 or int8. TensorRT 8: the flags
FP16 and INT8, which allow the types that the graph asks for. A finished build of the same kit on the same machine is
recognised and not repeated. With TensorRT-RTX, where the kit allows it and there is no GPU, one engine for each of the
architectures in kit.json.
Exit codes: 0 ok, 4 TensorRT or CUDA is missing, 5 too little disk or memory, 1 anything else.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import trt_common as common
from preflight import find_cuda, free_memory, require_space


class Step:
    """A build's progress as TensorRT reports it, one line a phase at most every two seconds."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self.told = 0.0

    def begin(self, phase: str, steps: int) -> None:
        """A phase of so many steps begins."""
        self.steps[phase] = steps

    def at(self, phase: str, step: int) -> None:
        """It has come this far."""
        if time.monotonic() - self.told > 2:
            self.told = time.monotonic()
            print("  {}: {} of {}".format(phase, step, self.steps.get(phase, "?")), flush=True)


def monitor_of(trt: Any) -> Any:
    """TensorRT's progress monitor, None before TensorRT 9."""
    if not hasattr(trt, "IProgressMonitor"):
        return None
    told = Step()

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
            told.begin(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            told.at(phase_name, step)
            return True

        def phase_finish(self, phase_name: str) -> None:
            told.steps.pop(phase_name, None)

    return Monitor()


def typed(trt: Any, kit: dict[str, Any]) -> bool:
    """Whether the network is strongly typed; before TensorRT 11 the DLA takes only weakly typed ones."""
    strongly = hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    return strongly and (kit["flags"]["dla"] is None or common.version_of(trt)[0] >= 11)


def parse(trt: Any, builder: Any, log: Any, kit: dict[str, Any]) -> tuple[Any, Any]:
    """model.onnx as TensorRT's network, and the parser that holds its weights.

    Raises:
        Trouble: TensorRT's parser refuses the graph.
    """
    flags = 0
    if common.version_of(trt)[0] < 10 and trt.__name__ not in common.RTX:
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    if typed(trt, kit):
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse((common.HERE / "model.onnx").read_bytes()):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))[:600]
        raise common.Trouble(1, f"TensorRT {trt.__version__} cannot parse model.onnx: {reasons}", "another --precision")
    return network, parser


def configure(trt: Any, builder: Any, kit: dict[str, Any], architecture: str | None) -> Any:
    """The builder's configuration for this kit."""
    config, flags = builder.create_builder_config(), kit["flags"]
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, flags["workspace_mb"] << 20)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if hasattr(config, "progress_monitor"):
        config.progress_monitor = monitor_of(trt)
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32
    if not typed(trt, kit):
        if kit["precision"] == "fp16":
            config.set_flag(trt.BuilderFlag.FP16)
        elif kit["precision"] in ("int8", "mixed"):
            config.set_flag(trt.BuilderFlag.INT8)
    if flags["dla"] is not None:
        config.default_device_type, config.DLA_core = trt.DeviceType.DLA, flags["dla"]
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    if architecture is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, architecture), 0)
    return config


def use_cache(trt: Any, config: Any, path: Path) -> Any:
    """Give the builder the timings that an earlier build of the same TensorRT measured on this GPU; RTX keeps none."""
    if trt.__name__ in common.RTX:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    return cache if config.set_timing_cache(cache, False) else None


def counted(words: Iterable[str]) -> dict[str, int]:
    """How often each word occurs."""
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items()))


def layers_of(trt: Any, network: Any) -> dict[str, Any]:
    """Layers of TensorRT's own network by type, and how many convolutions read int8 pixels and int8 weights."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    maker = {layer.get_output(j).name: layer for layer in layers for j in range(layer.num_outputs)}

    def from_int8(tensor: Any) -> bool:
        source = maker.get(tensor.name) if tensor is not None else None
        return source is not None and source.type == trt.LayerType.DEQUANTIZE and source.get_input(0).dtype == trt.int8

    weighted = [one for one in layers if one.type in (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION)]
    int8 = [
        one for one in weighted if one.num_inputs > 1 and from_int8(one.get_input(0)) and from_int8(one.get_input(1))
    ]
    kinds = counted(str(one.type).rsplit(".", 1)[-1] for one in layers)
    return {"types": kinds, "convolutions": len(weighted), "int8_convolutions": len(int8)}


def build(trt: Any, kit: dict[str, Any], facts: dict[str, Any], architecture: str | None, out: Path) -> dict[str, Any]:
    """One engine with its fingerprint; returns what build.json says of it.

    Raises:
        Trouble: the graph is refused, there is no such accelerator, or TensorRT gives no engine.
    """
    started, log = time.monotonic(), common.logger_of(trt)
    try:
        builder = trt.Builder(log)
    except TypeError:  # what pybind11 raises when TensorRT finds no usable GPU
        hint = "run this on the device, and see that its driver is loaded"
        raise common.Trouble(common.NO_TENSORRT, f"TensorRT makes no builder: {log.errors()}", hint) from None
    version, dla = trt.__version__, kit["flags"]["dla"]
    if dla is not None and dla >= builder.num_DLA_cores:
        told = f"no deep learning accelerator {dla} here: TensorRT {version} sees {builder.num_DLA_cores}"
        raise common.Trouble(common.FAILED, told, "convert again without --dla")
    network, parser = parse(trt, builder, log, kit)
    fingerprint = {
        "schema": 1,
        "key": kit["key"],
        **facts,
        "architecture": architecture,
        "onnx_sha256": kit["onnx"]["sha256"],
        "precision": kit["precision"],
        "io": kit["io"],
        "flags": kit["flags"],
        "rtx": bool(kit["rtx"]),
    }
    network.name = common.MARK + json.dumps(fingerprint)
    layers = layers_of(trt, network)
    config = configure(trt, builder, kit, architecture)
    place = out / "timing.{}.{}.cache".format(version, facts["compute_capability"] or architecture)
    cache = use_cache(trt, config, place)
    on_dla = None
    if dla is not None:
        on_dla = sum(bool(config.can_run_on_DLA(network.get_layer(i))) for i in range(network.num_layers))
    plan = builder.build_serialized_network(network, config)
    del parser
    if plan is None:
        memory = "memory" in log.errors().lower()
        raise common.Trouble(
            common.NO_SPACE if memory else common.FAILED,
            f"TensorRT {version} builds no engine: {log.errors()}",
            "convert again with a smaller --workspace" if memory else "convert again with another --precision",
        )
    content = bytes(plan)
    path = out / (f"model.{architecture}.engine" if architecture else "model.engine")
    common.write_atomic(path, content)
    if cache is not None:
        common.write_atomic(place, bytes(cache.serialize()))
    seconds = round(time.monotonic() - started, 2)
    fingerprint["engine_sha256"] = common.sha256(path)
    common.write_json(common.fingerprint_path(path), fingerprint)
    warnings = [message for severity, message in log.lines if severity == "WARNING"]
    print(f"build: {path.name}, {len(content) / 1e6:.2f} MB in {seconds:.1f} s", flush=True)
    return {
        "engine": path.name,
        "bytes": len(content),
        "seconds": seconds,
        "strongly_typed": typed(trt, kit),
        "network": layers,
        "layers_on_dla": on_dla,
        "engine_layers": counted(" ".join(one) for one in log.engine_layers),
        "warnings": warnings[:10],
        "fingerprint": fingerprint,
    }


def finished(out: Path, kit: dict[str, Any], facts: dict[str, Any]) -> bool:
    """Whether build.json and its engines are of this kit and this machine."""
    before = common.read_json(out / "build.json")
    if before.get("key") != kit["key"] or not before.get("engines"):
        return False
    return all(
        all(one["fingerprint"].get(key) == facts[key] for key in common.DEVICE)
        and (out / one["engine"]).is_file()
        and common.sha256(out / one["engine"]) == one["fingerprint"]["engine_sha256"]
        for one in before["engines"]
    )


def main() -> int:
    """Build what is missing."""
    out = common.out_folder(__doc__ or "")
    kit = common.open_kit()
    trt = common.import_tensorrt(bool(kit["rtx"]))
    cuda = find_cuda(kit)
    facts = common.device_facts(trt, cuda)
    if finished(out, kit, facts):
        print("build: up to date")
        return 0
    out.mkdir(parents=True, exist_ok=True)
    require_space(kit, shutil.disk_usage(str(out)).free, free_memory())
    architectures = [None] if cuda is not None else kit["rtx"]
    engines = [build(trt, kit, facts, one, out) for one in architectures]
    common.write_json(out / "build.json", {"key": kit["key"], **engines[0], "engines": engines})
    return 0


if __name__ == "__main__":
    sys.exit(common.exit_with(main))
