import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("acwskd_edge.runtimes.coreml_program", reason="pip install coremltools torch")

from acwskd_edge.errors import UsageError
from acwskd_edge.runtimes import coreml_program
from acwskd_edge.runtimes.coreml_program import Program, load

import coremltools as ct  # isort: skip  # after the module that keeps its import quiet
from coremltools.converters.mil import Builder as mb  # isort: skip
from coremltools.converters.mil.mil import types  # isort: skip
from coremltools.optimize import coreml as cto  # isort: skip

RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (1, 4, 6, 8)).astype(np.float32)
W = RNG.normal(0, 1, (6, 2, 3, 5)).astype(np.float32)  # groups 2
UP = RNG.normal(0, 1, (4, 3, 2, 2)).astype(np.float32)
BIAS = np.arange(6, dtype=np.float32)
OTHER = RNG.uniform(1, 2, (1, 4, 1, 1)).astype(np.float32)
t = torch.from_numpy


def package(build: Callable, shape=X.shape, dtype=types.fp32, precision=None):
    """An MLModel of one small program with input x; no graph pass rewrites it."""

    @mb.program(input_specs=[mb.TensorSpec(shape=shape, dtype=dtype)], opset_version=ct.target.iOS17)
    def made(x):
        return build(x)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Implicitly cleaning up", ResourceWarning)
        return ct.convert(
            made,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=precision or ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )


def run(build: Callable, x: np.ndarray = X, **options) -> np.ndarray:
    return Program(package(build, x.shape, **options), "small").run({"x": x})


CONV = {"weight": W, "bias": BIAS, "groups": 2, "strides": [2, 1], "dilations": [1, 2]}
CONV |= {"pad_type": "custom", "pad": [1, 2, 3, 4]}
CASES = {
    "conv": (
        lambda x: mb.conv(x=x, name="y", **CONV),
        lambda x: F.conv2d(F.pad(x, (3, 4, 1, 2)), t(W), t(BIAS), (2, 1), 0, (1, 2), 2),
    ),
    "conv without padding": (
        lambda x: mb.conv(x=x, weight=W, groups=2, pad_type="valid", name="y"),
        lambda x: F.conv2d(x, t(W), groups=2),
    ),
    "conv_transpose": (
        lambda x: mb.conv_transpose(x=x, weight=UP, bias=BIAS[:3], strides=[2, 2], name="y"),
        lambda x: F.conv_transpose2d(x, t(UP), t(BIAS[:3]), 2),
    ),
    "conv_transpose, cropped": (
        lambda x: mb.conv_transpose(x=x, weight=UP, strides=[2, 2], pad_type="custom", pad=[0, 1, 2, 1], name="y"),
        lambda x: F.conv_transpose2d(x, t(UP), stride=2)[..., 0:-1, 2:-1],
    ),
    "relu": (lambda x: mb.relu(x=x, name="y"), torch.relu),
    "max_pool": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", name="y"),
        lambda x: F.max_pool2d(x, 2),
    ),
    "max_pool, padding never wins": (
        lambda x: mb.max_pool(
            x=mb.sub(x=x, y=np.float32(99)), kernel_sizes=[3, 3], pad_type="custom", pad=[1, 1, 1, 1], name="y"
        ),
        lambda x: F.max_pool2d(x - 99, 3, 1, 1),
    ),
    "avg_pool, padding counts": (
        lambda x: mb.avg_pool(x=x, kernel_sizes=[3, 3], pad_type="custom", pad=[1, 1, 1, 1], name="y"),
        lambda x: F.avg_pool2d(x, 3, 1, 1),
    ),
    "pad with zeros, top and left": (
        lambda x: mb.pad(x=x, pad=[0, 0, 0, 0, 1, 0, 2, 0], mode="constant", constant_val=np.float32(0), name="y"),
        lambda x: F.pad(x, (2, 0, 1, 0)),
    ),
    "pad by the edge": (
        lambda x: mb.pad(x=x, pad=[0, 1, 2, 0], mode="replicate", name="y"),
        lambda x: F.pad(x, (2, 0, 0, 1), mode="replicate"),
    ),
    "batch_norm": (
        lambda x: mb.batch_norm(
            x=x, mean=BIAS[:4], variance=BIAS[1:5], gamma=BIAS[2:], beta=BIAS[:4], epsilon=np.float32(1e-3), name="y"
        ),
        lambda x: F.batch_norm(x, t(BIAS[:4]), t(BIAS[1:5]), t(BIAS[2:]), t(BIAS[:4]), eps=1e-3),
    ),
    "instance_norm": (
        lambda x: mb.instance_norm(x=x, gamma=BIAS[:4], beta=BIAS[1:5], epsilon=np.float32(1e-3), name="y"),
        lambda x: F.instance_norm(x, weight=t(BIAS[:4]), bias=t(BIAS[1:5]), eps=1e-3),
    ),
    "leaky_relu": (lambda x: mb.leaky_relu(x=x, alpha=np.float32(0.1), name="y"), lambda x: F.leaky_relu(x, 0.1)),
    "prelu": (lambda x: mb.prelu(x=x, alpha=BIAS[:4], name="y"), lambda x: F.prelu(x, t(BIAS[:4]))),
    "sigmoid": (lambda x: mb.sigmoid(x=x, name="y"), torch.sigmoid),
    "silu": (lambda x: mb.silu(x=x, name="y"), F.silu),
    "reduce_mean": (
        lambda x: mb.reduce_mean(x=x, axes=[2, 3], keep_dims=True, name="y"),
        lambda x: x.mean((2, 3), keepdim=True),
    ),
    "upsample_nearest_neighbor": (
        lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3, name="y"),
        lambda x: F.interpolate(x, (12, 24), mode="nearest"),
    ),
    "upsample_bilinear": (
        lambda x: mb.upsample_bilinear(
            x=x, scale_factor_height=2.0, scale_factor_width=3.0, align_corners=False, name="y"
        ),
        lambda x: F.interpolate(x, (12, 24), mode="bilinear", align_corners=False),
    ),
    "upsample_bilinear, MIL's default corners": (
        lambda x: mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=2, name="y"),
        lambda x: F.interpolate(x, (12, 16), mode="bilinear", align_corners=True),
    ),
    "concat": (
        lambda x: mb.concat(values=(x, mb.relu(x=x)), axis=1, name="y"),
        lambda x: torch.cat([x, torch.relu(x)], 1),
    ),
    "add": (lambda x: mb.add(x=x, y=OTHER, name="y"), lambda x: x + t(OTHER)),
    "sub": (lambda x: mb.sub(x=OTHER, y=x, name="y"), lambda x: t(OTHER) - x),
    "mul": (lambda x: mb.mul(x=x, y=np.float32(0.3), name="y"), lambda x: x * 0.3),
    "real_div": (lambda x: mb.real_div(x=x, y=OTHER, name="y"), lambda x: x / t(OTHER)),
    "clip": (lambda x: mb.clip(x=x, alpha=-0.5, beta=1.5, name="y"), lambda x: x.clamp(-0.5, 1.5)),
    "reduce_argmax": (
        lambda x: mb.reduce_argmax(x=x, axis=1, keep_dims=False, name="y"),
        lambda x: x.argmax(1).int(),
    ),
    "cast": (lambda x: mb.cast(x=x, dtype="int32", name="y"), lambda x: x.int()),  # towards zero
}


@pytest.mark.parametrize("name", CASES)
def test_operation_equals_torch(name):
    build, reference = CASES[name]
    expected = reference(t(X)).numpy()
    got = run(build)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_quantize_rounds_half_to_even_and_saturates():
    x = np.array([-9.0, -0.75, -0.25, 0.25, 0.75, 1.1, 9.0], np.float32)
    got = run(lambda x: mb.quantize(input=x, scale=np.float32(0.5), output_dtype="int8", name="y"), x * 10)
    np.testing.assert_array_equal(got, [-128, -15, -5, 5, 15, 22, 127])
    got = run(lambda x: mb.quantize(input=x, scale=np.float32(0.5), output_dtype="int8", name="y"), x)
    np.testing.assert_array_equal(got, [-18, -2, 0, 0, 2, 2, 18])


def test_quantize_with_zero_point_and_dequantize_per_channel():
    x = np.array([[0.0, 1.0, 2.0], [0.0, 10.0, 20.0]], np.float32)
    scale, zero = np.array([1, 10], np.float32), np.array([3, 5], np.uint8)

    def build(x):
        q = mb.quantize(input=x, scale=scale, zero_point=zero, axis=0, output_dtype="uint8")
        return mb.dequantize(input=q, scale=scale * 2, zero_point=zero, axis=0, name="y")

    np.testing.assert_array_equal(run(build, x), x * 2)


def test_fp16_tensors_are_rounded_and_fp32_tensors_are_not():
    x = np.array([1 + 2**-12, 2049.0, 70000.0], np.float32)

    def build(x):
        return mb.cast(x=mb.cast(x=x, dtype="fp16"), dtype="fp32", name="y")

    np.testing.assert_array_equal(run(build, x), [1.0, 2048.0, np.inf])
    np.testing.assert_array_equal(run(lambda x: mb.mul(x=x, y=np.float32(1), name="y"), x), x)


def test_fp16_rounds_every_operation_not_only_the_last():
    x = np.array([2048.0], np.float32)

    def build(x):
        half = mb.cast(x=x, dtype="fp16")
        back = mb.sub(x=mb.add(x=half, y=np.float16(1)), y=np.float16(2048))
        return mb.cast(x=back, dtype="fp32", name="y")

    assert run(build, x).item() == 0.0  # 2049 does not exist in fp16


WEIGHT = RNG.normal(0, 1, (8, 4, 3, 3)).astype(np.float32)
SCALE = np.abs(WEIGHT).max(axis=(1, 2, 3), keepdims=True) / 127
NEAREST = np.linspace(WEIGHT.min(), WEIGHT.max(), 16)  # what a palette of mode uniform holds
COMPRESSIONS = {
    "constexpr_affine_dequantize": (
        cto.linear_quantize_weights,
        cto.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", weight_threshold=0),
        np.round(WEIGHT / SCALE) * SCALE,
    ),
    "constexpr_lut_to_dense": (
        cto.palettize_weights,
        cto.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=0),
        NEAREST[np.abs(WEIGHT[..., None] - NEAREST).argmin(-1)],
    ),
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_compressed_weights_are_decompressed(kind):
    compress, config, expected = COMPRESSIONS[kind]
    model = package(lambda x: mb.conv(x=x, weight=WEIGHT, pad_type="valid", name="y"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Implicitly cleaning up", ResourceWarning)
        smaller = compress(model, cto.OptimizationConfig(config))
    block = smaller.get_spec().mlProgram.functions["main"].block_specializations["CoreML7"]
    assert kind in [op.type for op in block.operations]
    got = Program(smaller, "small").run({"x": X})
    np.testing.assert_allclose(got, F.conv2d(t(X), t(expected.astype(np.float32))).numpy(), rtol=1e-4, atol=1e-4)
    assert np.abs(got - F.conv2d(t(X), t(WEIGHT)).numpy()).max() > 1e-3


def test_unknown_operation_is_refused_at_load():
    with pytest.raises(UsageError) as caught:
        Program(package(lambda x: mb.softmax(x=x, axis=1, name="y")), "some.mlpackage")
    message = str(caught.value)
    assert "softmax" in message
    assert "some.mlpackage" in message
    assert "conv_transpose" in message  # what is supported
    assert "\n" not in message


def test_unsupported_use_of_a_known_operation_is_refused():
    def build(x):
        return mb.conv(x=x, weight=W, groups=2, pad_type="same", name="odd_one")

    with pytest.raises(UsageError, match=r"conv 'odd_one'.*pad_type same"):
        run(build)


def test_observer_sees_every_tensor_in_order():
    seen = {}
    program = Program(package(lambda x: mb.relu(x=mb.sub(x=x, y=np.float32(1), name="a"), name="b")), "small")
    result = program.run({"x": X}, lambda name, value: seen.update({name: value.copy()}))
    assert list(seen) == ["x", "a", "b"]
    np.testing.assert_array_equal(seen["a"], X - 1)
    np.testing.assert_array_equal(seen["b"], result)
    assert [step.reads for step in program.steps] == [("x",), ("a",)]
    assert [step.last_uses for step in program.steps] == [("x",), ("a",)]


@pytest.mark.parametrize("inputs", [{}, {"x": X[:, :2]}, {"image": X}])
def test_wrong_inputs_are_refused(inputs):
    program = Program(package(lambda x: mb.relu(x=x, name="y")), "small")
    with pytest.raises(UsageError, match=r"input x .*allowed: \(1, 4, 6, 8\)"):
        program.run(inputs)


def test_runtime_takes_its_output_type_from_the_name_and_leaves_threads_alone(tmp_path):
    package(lambda x: mb.relu(x=x, name="logits")).save(str(tmp_path / "a.mlpackage"))
    package(lambda x: mb.reduce_argmax(x=x, axis=1, name="mask")).save(str(tmp_path / "b.mlpackage"))
    package(lambda x: mb.relu(x=x, name="probabilities")).save(str(tmp_path / "c.mlpackage"))
    before = torch.get_num_threads()
    assert load(tmp_path / "a.mlpackage", 2)(X).dtype == np.float32
    mask = load(tmp_path / "b.mlpackage", 1)(X)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, X.argmax(1))
    assert torch.get_num_threads() == before
    with pytest.raises(UsageError, match=r"probabilities.*allowed: logits, mask"):
        load(tmp_path / "c.mlpackage", 1)


def test_unreadable_packages_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="no Core ML package"):
        load(tmp_path / "absent.mlpackage", 1)
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises(UsageError, match="not a readable Core ML package"):
        load(tmp_path / "empty.mlpackage", 1)
    model = package(lambda x: mb.conv(x=x, weight=np.tile(W, (4, 1, 1, 1)), groups=2, pad_type="valid", name="y"))
    model.save(str(tmp_path / "cut.mlpackage"))
    weights = next((tmp_path / "cut.mlpackage").rglob("weight.bin"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UsageError, match="not a readable Core ML package"):
        load(tmp_path / "cut.mlpackage", 1)


@pytest.mark.parametrize("kind", ["multiArrayType", "imageType"])
def test_macos_predicts_through_core_ml(monkeypatch, tmp_path, kind):
    """The wiring only: Core ML itself is played by a stand-in."""
    pixels = RNG.integers(0, 256, (1, 3, 6, 8)).astype(np.uint8)

    class StandIn:
        def __init__(self, path):
            image = SimpleNamespace(name="image", type=SimpleNamespace(WhichOneof=lambda _: kind))
            ends = SimpleNamespace(input=[image], output=[SimpleNamespace(name="mask")])
            self.get_spec = lambda: SimpleNamespace(description=ends)

        def predict(self, inputs):
            if kind == "imageType":
                assert inputs["image"].mode == "RGB"
                assert inputs["image"].size == (8, 6)  # width, height
                return {"mask": np.asarray(inputs["image"]).argmax(2)[None].astype(np.int32)}
            assert inputs["image"].dtype == np.float32
            return {"mask": inputs["image"].argmax(1).astype(np.int32)}

    monkeypatch.setattr(coreml_program, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(coreml_program.coremltools.models, "MLModel", StandIn)
    mask = load(tmp_path, 1)(pixels)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, pixels.argmax(1))


def test_one_channel_is_a_grey_picture():
    picture = coreml_program.image_of(np.full((1, 1, 6, 8), 7, np.uint8))
    assert (picture.mode, picture.size, picture.getpixel((0, 0))) == ("L", (8, 6), 7)
