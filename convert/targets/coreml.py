"""Core ML: an ML Program for iOS 17 / macOS 14 and later, as a .mlpackage. Needs no Mac.

fp32      float32 throughout.
fp16      weights and activations in fp16; the raw graph's intensity rule stays float32.
w8        fp16 with int8 weights, symmetric, per channel; they are unpacked when the model loads or runs.
palette6  fp16 whose every weight is one of 64 values per layer, found by k-means; 6 bits each in the file.
palette4  the same with 16 values and 4 bits.
int8      W8A8: the weights of w8, and symmetric int8 activations per tensor. coremltools quantises the activations of
          convolution and max pooling; transposed convolution has int8 weights and computes in fp16.

Under fp16 the first and the last convolution keep fp16 weights (in int8 the last one reads the int8 result before
it): they are few weights, and the image and the logits lose most by 8 bits.

Input `image` float32 (1, C, h, w), or for io raw, where the contract's pixels are uint8 with one or three channels, an
image (grey or RGB), so that an app hands over a CVPixelBuffer of the network's size; output `logits` float32
(1, K, h, w), or for io raw `mask` int32 (1, h, w), since Core ML has no uint8 output (and of equal logits it may take
either). The contract lies in the package's user-defined metadata under `CONTRACT_KEY`. Equal jobs give equal bytes.
"""

from __future__ import annotations

import importlib
import json
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from acwskd_edge.errors import MissingDependency, RefusedError, UsageError
from acwskd_edge.preprocess import normalise
from acwskd_edge.runtimes.coreml_program import Program, Step, quiet_import
from convert.export import Job, unconvertible
from convert.layers import Node, left_out

with quiet_import():
    import coremltools as ct
    import tqdm
    from coremltools.optimize.coreml import (
        OpLinearQuantizerConfig,
        OpPalettizerConfig,
        OptimizationConfig,
        linear_quantize_activations,
        linear_quantize_weights,
        palettize_weights,
    )

CONTRACT_KEY = "acwskd_edge.contract"
INPUT = "image"
PALETTES = {"palette6": 6, "palette4": 4}  # bits a weight
IMAGES = {1: ct.colorlayout.GRAYSCALE, 3: ct.colorlayout.RGB}  # channels -> what a CVPixelBuffer is read as
CONVOLUTIONS = ("conv", "conv_transpose")
QUANTISED = (*CONVOLUTIONS, "max_pool")  # what int8 touches
INTENSITY_OPS = ("clip", "sub", "mul", "real_div")  # of RawGraph; a network has none of them

Ranges = dict[str, dict[str, float]]  # tensor name -> rmin, rmax


def emit(job: Job) -> Path:
    """Write `job.folder / f"{job.stem}.mlpackage"` and return its path.

    Raises:
        UsageError: int8 without calibration images.
        RefusedError: an operator that coremltools cannot convert, or int8 of a network whose activations do not fit
            in fp16.
        MissingDependency: a coremltools whose calibration cannot be given our statistics, or a palette without
            scikit-learn.
    """
    path = job.folder / f"{job.stem}.mlpackage"
    with quiet():
        if job.precision in ("fp32", "fp16"):
            model = to_program(job)
        else:
            model = compress(job.once("coreml", lambda: to_program(job)), job)
    describe(model, job)
    model.save(str(path))
    make_reproducible(path)
    return path


def to_program(job: Job) -> Any:
    """The job's graph as a coremltools MLModel, float32 or fp16 (all others start from fp16)."""
    name, dtype = ("mask", np.int32) if job.io == "raw" else ("logits", np.float32)
    precision = ct.precision.FLOAT32
    if job.precision != "fp32":
        # In fp16 a CT value of 2049 is 2048, and 1/std may be subnormal.
        precision = ct.transform.FP16ComputePrecision(op_selector=lambda op: op.op_type not in INTENSITY_OPS)
    traced = torch.jit.trace(job.graph, torch.zeros(job.shape), check_trace=False)  # type: ignore[no-untyped-call]
    try:
        return ct.convert(
            traced,
            convert_to="mlprogram",
            inputs=[input_type(job)],
            outputs=[ct.TensorType(name=name, dtype=dtype)],
            compute_precision=precision,
            minimum_deployment_target=ct.target.iOS17,
            skip_model_load=True,
        )
    except (ValueError, NotImplementedError) as error:
        raise unconvertible("coremltools", error) from error


def input_type(job: Job) -> Any:
    """What the package takes: an image where its pixels are one, else a float32 array."""
    if job.io == "raw" and job.contract.pixel == "uint8" and job.contract.channels in IMAGES:
        return ct.ImageType(name=INPUT, shape=job.shape, color_layout=IMAGES[job.contract.channels])
    return ct.TensorType(name=INPUT, shape=job.shape, dtype=np.float32)


def compress(model: Any, job: Job) -> Any:
    """fp16 MLModel -> one of the job's precision; first and last convolution and what `keep` names as they were."""
    program = job.once("coreml program", lambda: Program(model, job.stem))
    outputs = left_out(list(map(to_node, program.steps)), job.layers if job.keep else [], job.keep)
    kept = {step.name: None for step in program.steps if step.kind in QUANTISED and step.output in outputs}
    if bits := PALETTES.get(job.precision):
        palette = OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=0)
        try:
            return palettize_weights(model, OptimizationConfig(palette, op_name_configs=kept))
        except ModuleNotFoundError as error:
            raise MissingDependency(
                f"{job.precision} for Core ML needs scikit-learn up to 1.5.1", hint="pip install scikit-learn==1.5.1"
            ) from error
    if job.precision == "int8":
        model = quantise_activations(model, program, kept, job)
    weights = OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=0
    )
    return linear_quantize_weights(model, OptimizationConfig(weights, op_name_configs=kept))


def to_node(step: Step) -> Node:
    """A step of the fp16 program as `left_out` reads it."""
    weight = tuple(step.arguments["weight"].shape) if step.kind in CONVOLUTIONS else None
    return Node(step.output, step.reads, weight)


def quantise_activations(model: Any, program: Program, kept: dict[str, None], job: Job) -> Any:
    """fp16 MLModel -> the same with int8 activations but for `kept`, calibrated on `job.calibration`."""
    if not job.calibration:
        raise UsageError("int8 for Core ML without calibration images", hint="give the training split to convert")
    ranges = job.once(
        "coreml ranges",
        lambda: activation_ranges(program, [network_input(pixels, job) for pixels in job.calibration]),
    )
    activations = OptimizationConfig(OpLinearQuantizerConfig(mode="linear_symmetric"), op_name_configs=kept)
    with calibrated_by(ranges):
        return linear_quantize_activations(model, activations, [])


def network_input(pixels: NDArray[np.generic], job: Job) -> NDArray[np.float32]:
    """Calibration pixels (h, w, C) -> what the job's graph takes, (1, C, h, w)."""
    if job.io == "raw":
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32)
    return normalise(pixels, job.contract)


def activation_ranges(program: Program, samples: list[NDArray[np.float32]]) -> Ranges:
    """Smallest and largest value of every tensor over all samples, each sample (1, C, h, w).

    Around a concatenation all tensors get the range of its result, as coremltools does, so that one scale serves.

    Raises:
        RefusedError: a value is infinite or not a number.
    """
    ranges: Ranges = {}

    def observe(name: str, value: NDArray[np.generic]) -> None:
        low, high = float(value.min()), float(value.max())
        known = ranges.setdefault(name, {"rmin": low, "rmax": high})
        known["rmin"], known["rmax"] = min(known["rmin"], low), max(known["rmax"], high)

    for sample in samples:
        program.run({INPUT: sample}, observe)
    for step in program.steps:
        if step.kind == "concat":
            ranges.update(dict.fromkeys(step.reads, ranges[step.output]))
    for name, known in ranges.items():
        if not np.isfinite([known["rmin"], known["rmax"]]).all():
            raise RefusedError(
                f"{program.source}: tensor {name} leaves fp16's range on a calibration image", hint="--precision fp32"
            )
        # A dead activation would get a scale of 0, and what is divided by it would not be a number.
        known["rmax"] = max(known["rmax"], 1e-3)
    return ranges


@contextmanager
def calibrated_by(ranges: Ranges) -> Iterator[None]:
    """Let coremltools take these activation ranges instead of measuring them.

    It measures by predicting, which only macOS can, and offers no public way to bring one's own statistics; besides,
    version 9.0 keeps the ranges of the last sample instead of all. So its private function is replaced for a moment.

    Raises:
        MissingDependency: this coremltools has no such function.
    """
    module, function = "coremltools.optimize.coreml._post_training_quantization", "_get_activation_calibration_stats"
    try:
        replaced = patch.object(importlib.import_module(module), function, lambda *_: ranges)
        replaced.start()
    except (ImportError, AttributeError) as error:
        raise MissingDependency(
            f"int8 for Core ML needs coremltools 9.0; {ct.__version__} has no {module}.{function}",
            hint="pip install coremltools==9.0",
        ) from error
    try:
        yield
    finally:
        replaced.stop()


def describe(model: Any, job: Job) -> None:
    """Embed the contract, and what Xcode shows of a model."""
    contract = job.contract
    model.user_defined_metadata[CONTRACT_KEY] = contract.to_json()
    model.short_description = contract.intended_use
    model.input_description[INPUT] = (
        "pixels on the network's grid, before the intensity rule" if job.io == "raw" else "normalised image"
    )
    labels = ", ".join(f"{label.id} {label.name}" for label in contract.labels)
    model.output_description["mask" if job.io == "raw" else "logits"] = f"classes: {labels}"


def make_reproducible(package: Path) -> None:
    """Rewrite what coremltools writes differently each time: the order in protobuf maps, and random identifiers."""
    spec = ct.utils.load_spec(str(package))
    (package / "Data/com.apple.CoreML/model.mlmodel").write_bytes(spec.SerializeToString(deterministic=True))
    manifest = package / "Manifest.json"
    text = manifest.read_text(encoding="utf-8")
    for identifier, item in json.loads(text)["itemInfoEntries"].items():
        text = text.replace(identifier, str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])))
    manifest.write_text(json.dumps(json.loads(text), indent=4, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars and three known warnings; log messages and other warnings still appear."""
    no_bar = partialmethod(tqdm.tqdm.__init__, disable=True)  # coremltools offers no option
    with warnings.catch_warnings(), patch.object(tqdm.tqdm, "__init__", no_bar):
        warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
        # The model checks its input's shape in Python; here the shape is a constant of the contract.
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean")
        # coremltools leaves a TemporaryDirectory to the garbage collector.
        warnings.filterwarnings("ignore", "Implicitly cleaning up <TemporaryDirectory", ResourceWarning)
        yield
