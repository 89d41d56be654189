"""What a user would type instead of `python -m convert`: the other converters with their defaults, as documented.

Nothing here is tuned. Each rival gets the same network in eval mode and, where it calibrates, the same training slices
already normalised; what it leaves to the app (the intensity rule, layout, the argmax) is done in numpy, and timed.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from acwskd_edge import runtimes
from acwskd_edge.contract import Contract
from acwskd_edge.errors import MissingDependency
from acwskd_edge.preprocess import mask_of, normalise
from acwskd_edge.quiet import quiet_output

ONNX2TF = "onnx2tf==1.29.24"  # the last for Python 3.11; pins its own numpy, onnx and tensorflow
Mask = Callable[[NDArray[np.generic]], NDArray[np.uint8]]
"""Pixels (h, w, C) on the network's grid -> mask (h, w)."""


@dataclass(frozen=True)
class Given:
    """What every rival starts from."""

    network: nn.Module  # eval mode
    contract: Contract
    images: list[NDArray[np.float32]]  # for calibration: normalised (1, C, h, w)
    folder: Path  # for what they write

    @property
    def sample(self) -> tuple[torch.Tensor]:
        """An input to trace with."""
        return (torch.from_numpy(self.images[0]),)

    @cached_property
    def onnx(self) -> Path:
        """torch.onnx.export with its defaults, in one file."""
        path = self.folder / "plain.onnx"
        with quiet():
            torch.onnx.export(self.network, self.sample, path, input_names=["image"], external_data=False)
        return path

    @cached_property
    def tflite(self) -> Path:
        """litert_torch.convert with its defaults."""
        path = self.folder / "plain.tflite"
        with quiet():
            import litert_torch

            litert_torch.convert(self.network, self.sample).export(str(path))
        return path

    @cached_property
    def onnx2tf(self) -> Path:
        """The folder that onnx2tf writes from the plain ONNX file, quantised files among them."""
        python = onnx2tf_python()
        out, data = self.folder / "onnx2tf", self.folder / "calibration.npy"
        np.save(data, np.concatenate([one.transpose(0, 2, 3, 1) for one in self.images]))
        environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}  # it calls onnxsim
        command = [python.parent / "onnx2tf", "-i", self.onnx, "-o", out, "-oiqt", "-cind", "image", data]
        run([*command, "[[[[0.0]]]]", "[[[[1.0]]]]"], environment)  # mean and std: they are normalised already
        return out


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what the tools print, log and warn of."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet_output(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def run(command: list[Any], environment: dict[str, str] | None = None) -> None:
    """Run a program; what it printed last becomes the error.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise RuntimeError(lines[-1] if lines else f"exit code {done.returncode}")


def onnx2tf_python() -> Path:
    """The interpreter of onnx2tf's own environment, made on first use and kept for later ones.

    Raises:
        MissingDependency: it cannot be installed here.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    home = cache / "acwskd-edge" / f"{ONNX2TF.replace('==', '-')}-python{sys.version_info[0]}.{sys.version_info[1]}"
    python, ready = home / "bin" / "python", home / ".ready"
    if not ready.is_file():
        print(f"installing {ONNX2TF} into {home} (two gigabytes, once)", file=sys.stderr)
        try:
            run([sys.executable, "-m", "venv", "--clear", home])
            run([python, "-m", "pip", "install", "--quiet", ONNX2TF])
        except (OSError, RuntimeError) as error:
            raise MissingDependency(f"{ONNX2TF} cannot be installed ({error})", hint="--without onnx2tf") from error
        ready.touch()
    return python


def as_exported(given: Given) -> Path:
    """ONNX in float32."""
    return given.onnx


def ort_static(given: Given) -> Path:
    """onnxruntime's static quantisation with default arguments."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = iter([{"image": one} for one in given.images])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self.feeds, None)

    path = given.folder / "static.onnx"
    with quiet():
        quantize_static(given.onnx, path, Reader())
    return path


def as_converted(given: Given) -> Path:
    """TFLite in float32."""
    return given.tflite


def quantizer_dynamic(given: Given) -> Path:
    """ai-edge-quantizer's dynamic recipe."""
    from ai_edge_quantizer import quantizer, recipe

    path = given.folder / "dynamic.tflite"
    with quiet():
        quantizer.Quantizer(str(given.tflite), recipe.dynamic_wi8_afp32()).quantize().export_model(str(path))
    return path


def quantizer_static(given: Given) -> Path:
    """ai-edge-quantizer's static recipe and its own calibration."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    path = given.folder / "static.tflite"
    with quiet():
        tool = quantizer.Quantizer(str(given.tflite), recipe.static_wi8_ai8())
        ((key, signature),) = Interpreter(str(given.tflite)).get_signature_list().items()
        ranges = tool.calibrate({key: [{signature["inputs"][0]: one} for one in given.images]})
        tool.quantize(ranges).export_model(str(path))
    return path


def pt2e(given: Given) -> Path:
    """Quantised in PyTorch with litert-torch's own quantizer, then converted."""
    path = given.folder / "pt2e.tflite"
    with quiet():
        import litert_torch
        from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config
        from litert_torch.quantize.quant_config import QuantConfig
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # type: ignore[import-untyped]

        tool = PT2EQuantizer().set_global(get_symmetric_quantization_config())
        prepared = prepare_pt2e(torch.export.export(given.network, given.sample).module(), tool)
        for one in given.images:
            prepared(torch.from_numpy(one))
        quantised = convert_pt2e(prepared, fold_quantize=False)
        litert_torch.convert(quantised, given.sample, quant_config=QuantConfig(pt2e_quantizer=tool)).export(str(path))
    return path


def onnx2tf_float(given: Given) -> Path:
    """TFLite in float32, by way of TensorFlow."""
    return given.onnx2tf / "plain_float32.tflite"


def onnx2tf_dynamic(given: Given) -> Path:
    """TensorFlow's dynamic-range quantisation."""
    return given.onnx2tf / "plain_dynamic_range_quant.tflite"


def onnx2tf_static(given: Given) -> Path:
    """TensorFlow's full-integer quantisation, float32 at both ends."""
    return given.onnx2tf / "plain_integer_quant.tflite"


@dataclass(frozen=True)
class Rival:
    """One way to a file."""

    tool: str
    runtime: str  # onnxruntime or litert: what executes the file
    precision: str  # fp32 or int8: which of ours it is compared with
    typed: str  # for people
    emit: Callable[[Given], Path]


ORT, LITERT = ("onnxruntime", "onnxruntime"), ("litert-torch", "litert")
RIVALS: dict[str, Rival] = {
    "torch.onnx": Rival(*ORT, "fp32", "torch.onnx.export", as_exported),
    "quantize_static": Rival(*ORT, "int8", "torch.onnx.export, quantize_static", ort_static),
    "litert-torch": Rival(*LITERT, "fp32", "litert_torch.convert", as_converted),
    "dynamic_wi8_afp32": Rival(*LITERT, "int8", "litert_torch.convert, recipe.dynamic_wi8_afp32", quantizer_dynamic),
    "static_wi8_ai8": Rival(*LITERT, "int8", "litert_torch.convert, recipe.static_wi8_ai8", quantizer_static),
    "pt2e": Rival(*LITERT, "int8", "prepare_pt2e, convert_pt2e, litert_torch.convert", pt2e),
    "onnx2tf float32": Rival("onnx2tf", "litert", "fp32", "onnx2tf -i, float32", onnx2tf_float),
    "onnx2tf dynamic": Rival("onnx2tf", "litert", "int8", "onnx2tf -i -oiqt, dynamic_range_quant", onnx2tf_dynamic),
    "onnx2tf static": Rival("onnx2tf", "litert", "int8", "onnx2tf -i -oiqt, integer_quant", onnx2tf_static),
}


class LiteRtMask:
    """A rival's TFLite file from pixels to mask: NCHW or NHWC, float or integer at its ends."""

    def __init__(self, path: Path, contract: Contract) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with quiet_output():
            self.interpreter = Interpreter(model_path=str(path), num_threads=1)
            self.interpreter.allocate_tensors()
        (self.input,), (self.output,) = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        self.contract = contract
        first = (1, contract.channels, contract.height, contract.width)
        self.nhwc = tuple(self.input["shape"]) != first
        self.axis = 0 if tuple(self.output["shape"]) == (1, contract.classes, *first[2:]) else -1

    def __call__(self, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Logits that are integers share one scale, so their argmax is that of the real numbers."""
        image: NDArray[Any] = normalise(pixels, self.contract)
        if self.nhwc:
            image = image.transpose(0, 2, 3, 1)
        scale, zero = self.input["quantization"]
        if scale:
            limits = np.iinfo(self.input["dtype"])
            image = np.clip(np.rint(image / np.float32(scale)) + zero, limits.min, limits.max)
        self.interpreter.set_tensor(self.input["index"], image.astype(self.input["dtype"], copy=False))
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])[0].argmax(self.axis).astype(np.uint8)


def load(runtime: str, path: Path, contract: Contract) -> Mask:
    """A rival's file as a function from pixels to mask, one thread."""
    if runtime == "litert":
        return LiteRtMask(path, contract)
    session = runtimes.load(runtime, path)
    return lambda pixels: mask_of(session(normalise(pixels, contract)))[0]
