from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from target_contract import Emit, TargetContract, toy_job

from acwskd_edge.errors import ContractError, RefusedError, UsageError
from convert.targets import tflite as target


class TestTflite(TargetContract):
    target = "tflite"

    def read_contract(self, path: Path) -> str:
        return target.read_contract(path)

    @pytest.mark.slow
    @pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
    def test_whole_network_is_one_delegate(self, emit: Emit, precision: str) -> None:
        coverage = target.delegate_coverage(emit(precision, "tensor")[1])
        assert coverage.whole, coverage

    @pytest.mark.slow
    @pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
    @pytest.mark.parametrize(("pixel", "casts"), [("int16", 1), ("uint8", 2)])
    def test_raw_leaves_only_casts_and_argmax_outside(self, emit: Emit, precision: str, pixel: str, casts: int) -> None:
        path = emit(precision, "raw", pixel)[1]
        coverage = target.delegate_coverage(path)
        names = target._op_names(target.flatbuffer_utils.read_model(str(path)))
        assert coverage.delegates == 1
        assert names[: casts - 1] + names[-2:] == ["CAST"] * (casts - 1) + ["ARG_MAX", "CAST"]
        assert coverage.operators - coverage.delegated == casts + 1

    @pytest.mark.slow
    @pytest.mark.parametrize("io", ["tensor", "raw"])
    @pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
    def test_nothing_is_transposed(self, emit: Emit, precision: str, io: str) -> None:
        names = target._op_names(target.flatbuffer_utils.read_model(str(emit(precision, io)[1])))
        assert "TRANSPOSE" not in names
        assert "TRANSPOSE_CONV" in names  # the names are what they seem

    @pytest.mark.slow
    @pytest.mark.parametrize(("pixel", "dtype"), [("uint8", np.uint8), ("int16", np.float32)])
    def test_raw_input(self, emit: Emit, pixel: str, dtype: type) -> None:
        detail = Interpreter(str(emit("fp32", "raw", pixel)[1])).get_input_details()[0]
        assert detail["dtype"] is dtype
        assert detail["name"] == "image"

    def test_int8_without_calibration_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RefusedError, match="calibration"):
            target.emit(replace(toy_job(tmp_path, "int8", "tensor"), calibration=[]))

    @pytest.mark.slow
    @pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
    def test_constants_are_aligned(self, emit: Emit, precision: str) -> None:
        content = emit(precision, "tensor")[1].read_bytes()
        model = target.schema.Model.GetRootAs(content, 0)
        for index in range(model.BuffersLength()):
            data = model.Buffers(index).DataAsNumpy()
            if isinstance(data, np.ndarray):
                assert (data.__array_interface__["data"][0] - np.frombuffer(content, np.uint8).ctypes.data) % 16 == 0


@pytest.mark.slow
def test_a_transposition_is_refused() -> None:
    from torch import nn

    from acwskd_edge.models import build_model

    class Transposing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = build_model("unet8", 1, 4).eval()

        def forward(self, image):
            return self.network(image.transpose(2, 3))

    job = replace(toy_job(Path("/nonexistent"), "fp32", "tensor"), network=Transposing())
    with pytest.raises(RefusedError, match="TRANSPOSE"):
        target.emit(job)


@pytest.mark.slow
def test_what_litert_torch_cannot_convert_is_refused_in_one_line(tmp_path: Path) -> None:
    from torch import nn

    odd = nn.ConvTranspose2d(1, 4, 3, stride=2, padding=1, output_padding=1)
    job = replace(toy_job(tmp_path, "fp32", "tensor"), network=nn.Sequential(nn.MaxPool2d(2), odd).eval())
    with pytest.raises(RefusedError, match=r"litert-torch cannot convert the network.*convert\.lint"):
        target.emit(job)


@pytest.mark.parametrize("value", [4, 4096])
def test_large_weights_are_quantised_like_small_ones(value: int) -> None:
    """ai-edge-quantizer 0.10.0 fails above 32 MiB; 4096 * 3 * 3 * 256 floats are 36 MiB."""
    weights = np.random.default_rng(0).normal(size=(value, 3, 3, 256)).astype(np.float32)
    scale = np.abs(weights).max(axis=(1, 2, 3)) / 127
    params = target.qtyping.UniformQuantParams(8, 0, scale, np.zeros(value, np.int32), True)
    steps = target._uniform_quantize(weights, params)
    assert steps.shape == weights.shape
    assert steps.dtype == np.int8
    assert np.abs(steps * scale[:, None, None, None] - weights).max() <= scale.max() / 2 + 1e-6


def test_damaged_files_and_files_without_contract(tmp_path: Path) -> None:
    (tmp_path / "damaged.tflite").write_bytes(b"nothing of the sort")
    with pytest.raises(UsageError, match="not a readable"):
        target.read_contract(tmp_path / "damaged.tflite")
    model = target.schema.ModelT()
    model.buffers, model.subgraphs, model.operatorCodes = [], [], []
    (tmp_path / "bare.tflite").write_bytes(target._pack(model))
    with pytest.raises(ContractError, match="no contract"):
        target.read_contract(tmp_path / "bare.tflite")
