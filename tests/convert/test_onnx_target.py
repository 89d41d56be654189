from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from target_contract import Emit, TargetContract, toy_job

from acwskd_edge.errors import RefusedError
from convert.targets import onnx as target


class TestOnnx(TargetContract):
    target = "onnx"

    def read_contract(self, path: Path) -> str:
        return {one.key: one.value for one in onnx.load(path).metadata_props}[target.CONTRACT_KEY]

    @pytest.mark.parametrize(("pixel", "code"), [("uint8", onnx.TensorProto.UINT8), ("int16", onnx.TensorProto.INT16)])
    def test_raw_takes_the_contracts_own_pixels(self, emit: Emit, pixel: str, code: int) -> None:
        _, path = emit("fp32", "raw", pixel)
        graph = onnx.load(path).graph
        assert [one.name for one in graph.input] == ["image"]
        assert [one.name for one in graph.output] == ["mask"]
        assert graph.input[0].type.tensor_type.elem_type == code

    def test_half_keeps_intensity_and_argmax_in_float(self, emit: Emit) -> None:
        _, path = emit("fp16", "raw")
        names = [node.op_type for node in onnx.load(path).graph.node]
        assert names[:6] == ["Cast", "Clip", "Sub", "Div", "Cast", "Conv"]
        assert names[-4:] == ["Resize", "Cast", "ArgMax", "Cast"]

    def test_int8_keeps_first_and_last_convolution_in_float(self, emit: Emit) -> None:
        _, path = emit("int8", "raw")
        graph = onnx.load(path).graph
        maker = {output: node.op_type for node in graph.node for output in node.output}
        inputs = [maker.get(node.input[1]) for node in graph.node if node.op_type in target.WEIGHTED]
        assert inputs[0] is inputs[-1] is None
        assert set(inputs[1:-1]) == {"DequantizeLinear"}

    def test_static_shapes_and_opset(self, emit: Emit) -> None:
        _, path = emit("fp32", "tensor")
        model = onnx.load(path)
        assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 1, 64, 64]
        assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [1, 4, 64, 64]
        assert {one.domain: one.version for one in model.opset_import} == {"": target.OPSET}

    def test_int8_without_calibration_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RefusedError, match="calibration"):
            target.emit(replace(toy_job(tmp_path, "int8", "tensor"), calibration=[]))
