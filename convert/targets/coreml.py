"""Core ML: an ML Program for iOS 17 / macOS 14 and later, as a .mlpackage. Needs no Mac.

fp32   float32 throughout.
fp16   weights and activations in fp16; the raw graph's intensity rule stays float32.
int8   W8A8 on top of fp16: weights per channel, activations per tensor, both symmetric. The first and the last
       convolution stay fp16 (the last one reads the int8 result before it): they are few weights, and the image and
       the logits lose most by 8 bits. coremltools quantises the activations of convolution and max pooling;
       transposed convolution has int8 weights and computes in fp16.

Input `image` float32 (1, C, h, w); output `logits` float32 (1, K, h, w), or for io raw `mask` int32 (1, h, w), since
Core ML has no uint8 output (and of equal logits it may take either). The contract lies in the package's user-defined
metadata under `CONTRACT_KEY`. Equal jobs give equal bytes.
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
from acwskd_edge.runtimes.coreml_program import Program, quiet_import
from convert.export import Job

with quiet_import():
    import coremltools as ct
    import tqdm
    from coremltools.optimize.coreml import (
        OpLinearQuantizerConfig,
        OptimizationConfig,
        linear_quantize_activations,
        linear_quantize_weights,
    )

CONTRACT_KEY = "acwskd_edge.contract"
INPUT = "image"
INTENSITY_OPS = ("clip", "sub", "mul", "real_div")  # of RawGraph; a network has none of them

Ranges = dict[str, dict[str, float]]  # tensor name -> rmin, rmax


def emit(job: Job) -> Path:
    """Write `job.folder / f"{job.stem}.mlpackage"` and return its path.

    Raises:
        UsageError: int8 without calibration images.
        RefusedError: int8 of a network whose activations do not fit in fp16.
        MissingDependency: a coremltools whose calibration cannot be given our statistics.
    """
    path = job.folder / f"{job.stem}.mlpackage"
    with quiet():
        model = to_program(job)
        if job.precision == "int8":
            model = quantise(model, job)
    describe(model, job)
    model.save(str(path))
    make_reproducible(path)
    return path


def to_program(job: Job) -> Any:
    """The job's graph as a coremltools MLModel, float32 or fp16 (int8 starts from fp16)."""
    name, dtype = ("mask", np.int32) if job.io == "raw" else ("logits", np.float32)
    precision = ct.precision.FLOAT32
    if job.precision != "fp32":
        # In fp16 a CT value of 2049 is 2048, and 1/std may be subnormal.
        precision = ct.transform.FP16ComputePrecision(op_selector=lambda op: op.op_type not in INTENSITY_OPS)
    traced = torch.jit.trace(job.graph, torch.zeros(job.shape), check_trace=False)  # type: ignore[no-untyped-call]
    return ct.convert(
        traced,
        convert_to="mlprogram",
        inputs=[ct.TensorType(name=INPUT, shape=job.shape, dtype=np.float32)],
        outputs=[ct.TensorType(name=name, dtype=dtype)],
        compute_precision=precision,
        minimum_deployment_target=ct.target.iOS17,
        skip_model_load=True,
    )


def quantise(model: Any, job: Job) -> Any:
    """fp16 MLModel -> W8A8 MLModel, activations calibrated on `job.calibration`."""
    if not job.calibration:
        raise UsageError("int8 for Core ML without calibration images", hint="give the training split to convert")
    program = Program(model, job.stem)
    convolutions = [step.name for step in program.steps if step.kind == "conv"]
    kept = {convolutions[0]: None, convolutions[-1]: None}
    activations = OptimizationConfig(OpLinearQuantizerConfig(mode="linear_symmetric"), op_name_configs=kept)
    weights = OptimizationConfig(
        OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=0),
        op_name_configs=kept,
    )
    samples = [network_input(pixels, job) for pixels in job.calibration]
    with calibrated_by(activation_ranges(program, samples)):
        quantised = linear_quantize_activations(model, activations, [])
    return linear_quantize_weights(quantised, weights)


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
