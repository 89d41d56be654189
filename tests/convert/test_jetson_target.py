from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from target_contract import Emit, TargetContract, toy_contract, toy_images, toy_job

from acwskd_edge.errors import RefusedError
from acwskd_edge.models import build_model
from acwskd_edge.runtimes import trt_common
from convert import graphlint
from convert.export import Job
from convert.targets import jetson as target
from convert.targets.onnx import CONTRACT_KEY


class TestJetson(TargetContract):
    target = "jetson"
    stores_int8 = False  # TensorRT 8 takes weights in float32 only

    def read_contract(self, path: Path) -> str:
        return {one.key: one.value for one in onnx.load(path).metadata_props}[CONTRACT_KEY]

    @pytest.mark.parametrize(("pixel", "code"), [("uint8", TensorProto.UINT8), ("int16", TensorProto.FLOAT)])
    def test_raw_takes_types_that_tensorrt_has(self, emit: Emit, pixel: str, code: int) -> None:
        model = onnx.load(emit("fp32", "raw", pixel)[1])
        assert model.graph.input[0].type.tensor_type.elem_type == code
        assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.UINT8
        assert [node.op_type for node in model.graph.node][-3:] == ["ArgMax", "Cast", "Cast"]

    def test_opset_is_what_the_oldest_tensorrt_reads(self, emit: Emit) -> None:
        model = onnx.load(emit("fp32", "tensor")[1])
        assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
        assert model.ir_version == 8

    def test_int8_is_symmetric_with_one_scale_a_channel_and_round_a_skip(self, emit: Emit) -> None:
        graph = graphlint.Graph(onnx.load(emit("int8", "raw")[1]))
        scales = [node for node in graph.nodes if node.op_type == "QuantizeLinear"]
        assert all(not graph.constant(node.input[2]).any() for node in scales)
        weighted = [node for node in graph.nodes if node.op_type in graphlint.WEIGHT_AXIS]
        assert graph.made_by(weighted[0].input[1]) == ""
        assert {graph.made_by(node.input[1]) for node in weighted[1:-1]} == {"DequantizeLinear"}
        for node in (one for one in graph.nodes if one.op_type == "Concat"):
            assert len({graph.scale(name) for name in (*node.input, f"{node.output[0]}_q")}) == 1
        for node in (one for one in graph.nodes if one.op_type == "Relu"):
            assert graph.made_by(node.input[0]) == "Conv"  # nothing between, so that they fuse

    def test_int8_without_calibration_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RefusedError, match="calibration"):
            target.emit(replace(toy_job(tmp_path, "int8", "tensor"), calibration=[]))


def test_dead_channels_and_tensors_get_a_scale_that_divides() -> None:
    values = np.zeros((2, 3, 1, 1), np.float32)
    values[1] = 2
    np.testing.assert_allclose(target.weight_scales(values, 0), [1, 2 / 127])
    assert target.shared_scales(onnx.GraphProto(), [], {"dead": 0.0}) == {"dead": 1.0}


@pytest.fixture(scope="module")
def int8_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return target.emit(toy_job(tmp_path_factory.mktemp("int8"), "int8", "raw"))


@pytest.fixture
def int8(int8_file: Path) -> onnx.ModelProto:
    return onnx.load(int8_file)


def constant(model: onnx.ModelProto, name: str) -> TensorProto:
    return next(one for one in model.graph.initializer if one.name == name)


class TestGraphLint:
    def test_what_the_target_emits_is_without_fault(self, int8: onnx.ModelProto) -> None:
        assert graphlint.faults(int8) == []

    def test_a_zero_point(self, int8: onnx.ModelProto) -> None:
        node = next(one for one in int8.graph.node if one.op_type == "QuantizeLinear")
        zero = constant(int8, node.input[2])
        zero.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(zero) + np.int8(3), zero.name))
        assert "zero point is not int8 0" in graphlint.faults(int8)[0]

    def test_weights_scaled_along_the_wrong_axis(self, int8: onnx.ModelProto) -> None:
        node = next(one for one in int8.graph.node if one.op_type == "ConvTranspose")
        dequantize = next(one for one in int8.graph.node if one.output[0] == node.input[1])
        dequantize.attribute[0].i = 0
        assert any("on axis 1" in one for one in graphlint.faults(int8))

    def test_a_pair_between_a_convolution_and_its_relu(self, int8: onnx.ModelProto) -> None:
        relu = [one for one in int8.graph.node if one.op_type == "Relu"][2]
        place = list(int8.graph.node).index(relu)
        constants = [onnx.helper.make_tensor(f"x_{n}", t, (), [1 - n]) for n, t in enumerate((1, 3))]
        int8.graph.initializer.extend(constants)
        names = [one.name for one in constants]
        pair = [
            onnx.helper.make_node("QuantizeLinear", [relu.input[0], *names], ["x_q"]),
            onnx.helper.make_node("DequantizeLinear", ["x_q", *names], ["x_dq"]),
        ]
        relu.input[0] = "x_dq"
        for node in reversed(pair):
            int8.graph.node.insert(place, node)
        assert any("do not fuse" in one for one in graphlint.faults(int8))

    def test_a_skip_with_two_scales(self, int8: onnx.ModelProto) -> None:
        concat = next(one for one in int8.graph.node if one.op_type == "Concat")
        scale = constant(int8, concat.input[1].replace("_dq", "_scale"))
        scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(2), scale.name))
        assert any("different scales" in one for one in graphlint.faults(int8))

    def test_an_operator_and_a_shape_that_no_engine_has(self, int8: onnx.ModelProto) -> None:
        int8.graph.node.append(onnx.helper.make_node("NonZero", [int8.graph.output[0].name], ["places"]))
        int8.graph.value_info.append(onnx.helper.make_tensor_value_info("places", TensorProto.INT64, [3, "n"]))
        found = graphlint.faults(int8)
        assert found[0] == "operator NonZero"
        assert "tensor places has a dynamic shape" in found

    def test_the_dla_leaves_quantisation_and_argmax_to_the_gpu(self, int8: onnx.ModelProto) -> None:
        left = {one.split()[0] for one in graphlint.off_dla(int8)}
        assert left == {"Cast", "Div", "ArgMax", "QuantizeLinear", "DequantizeLinear"}


@pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx_bindings") is None, reason="TensorRT-RTX is not installed")
class TestNvidiasParserAndBuilder:
    """TensorRT-RTX on the CPU."""

    @pytest.mark.slow
    @pytest.mark.parametrize("model", ["s2d16", "unet64"])
    def test_every_precision_of_every_network_parses_and_builds(self, model: str, tmp_path: Path) -> None:
        import tensorrt_rtx_bindings as trt

        contract = toy_contract("uint8")
        network = build_model(model, contract.channels, contract.classes).eval()
        job = Job(network, contract, "fp32", "raw", toy_images(contract, 2, seed=2)[0], tmp_path)
        weights = {}
        for precision in ("fp32", "fp16", "int8"):
            path = target.emit(replace(job, precision=precision))
            log = trt_common.logger_of(trt)
            builder = trt.Builder(log)
            definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
            parser = trt.OnnxParser(definition, log)
            assert parser.parse(path.read_bytes()), [str(parser.get_error(i)) for i in range(parser.num_errors)]
            for architecture in (trt.ComputeCapability.SM86, trt.ComputeCapability.SM120):
                config = builder.create_builder_config()
                config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
                config.num_compute_capabilities = 1
                config.set_compute_capability(architecture, 0)
                assert builder.build_serialized_network(definition, config) is not None, log.errors()
            kinds = [kind for kind in log.engine_layers if kind[0] == "correlation"]
            weights[precision] = {dtype: sum(kind[1] == dtype for kind in kinds) for _, dtype in kinds}
        convolutions = sum(isinstance(one, torch.nn.Conv2d) for one in network.modules())
        assert set(weights["fp32"]) == {"Float"}
        assert set(weights["fp16"]) == {"Half"}
        assert weights["int8"] == {"Int8": 2 * (convolutions - 2), "Float": 4}  # of two builds, first and last float

    def test_the_parser_knows_every_operator_that_the_lint_lets_through(self) -> None:
        import tensorrt_rtx_bindings as trt

        log = trt_common.logger_of(trt)
        builder = trt.Builder(log)
        definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(definition, log)
        assert [one for one in graphlint.OPERATORS if not parser.supports_operator(one)] == []
