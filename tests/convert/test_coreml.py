import copy
import functools
import gc
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("acwskd_edge.runtimes.coreml_program", reason="pip install coremltools torch")

from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.errors import MissingDependency, RefusedError, UsageError
from acwskd_edge.models import build_model
from acwskd_edge.preprocess import mask_of, normalise
from acwskd_edge.runtimes.coreml_program import Program, load
from convert.export import Job
from convert.targets import coreml
from convert.targets.coreml import CONTRACT_KEY, activation_ranges, calibrated_by, emit

SIZE, CLASSES = 64, 5
NAMES = ("background", "liver", "spleen", "kidney", "aorta")
CONTRACT = Contract(
    name="toy",
    modality="CT",
    height=SIZE,
    width=SIZE,
    channels=1,
    pixel="int16",
    resize="letterbox",
    intensity=Intensity(-1000.0, 3000.0, (-412.6,), (531.7,)),  # beyond 2048, where fp16 skips whole numbers
    labels=tuple(Label(i, name, (i, 0, 0)) for i, name in enumerate(NAMES)),
    spacing=None,
    intended_use="research: ½ scale toy",
)


def scenes(seed: int, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Noisy discs of four intensities: pixels (h, w, 1) int16 and labels (count, h, w)."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:SIZE, :SIZE]
    images, labels = np.full((count, SIZE, SIZE), -900.0), np.zeros((count, SIZE, SIZE), np.int64)
    for image, label in zip(images, labels, strict=True):
        for k in range(1, CLASSES):
            row, col, radius = *rng.integers(8, SIZE - 8, 2), rng.integers(6, 14)
            disc = (rows - row) ** 2 + (cols - col) ** 2 < radius**2
            image[disc], label[disc] = -900 + 800 * k, k
        image += rng.normal(0, 30, image.shape)
    return [np.round(image).astype(np.int16)[..., None] for image in images], labels


@functools.cache
def trained(name: str) -> torch.nn.Module:
    """A few steps on the toy task, so that batch statistics, logits and margins are of a real network's size."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build_model(name, 1, CLASSES).train()
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for step in range(40):
        pixels, labels = scenes(step, 4)
        batch = torch.from_numpy(np.concatenate([normalise(one, CONTRACT) for one in pixels]))
        loss = F.cross_entropy(network(batch), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def job(folder: Path, name="unet8", precision="fp32", io="tensor", **changes) -> Job:
    made = Job(trained(name), CONTRACT, precision, io, scenes(999, 8)[0], folder)
    return replace(made, **changes)


def compare(path: Path, name: str) -> tuple[float, float]:
    """Largest logit error and the share of pixels with the checkpoint's class, over four images."""
    runtime, network, errors, agreements = load(path, 1), trained(name), [], []
    for pixels in scenes(500, 4)[0]:
        image = normalise(pixels, CONTRACT)
        with torch.no_grad():
            expected = network(torch.from_numpy(image)).numpy()
        got = runtime(image)
        assert got.dtype == np.float32
        assert got.shape == expected.shape
        assert np.ptp(expected) > 4
        errors.append(np.abs(got - expected).max())
        agreements.append((mask_of(got) == mask_of(expected)).mean())
    return float(max(errors)), float(np.mean(agreements))


# fp16 and int8 bounds: a few times what was measured (pytest -s prints it).
@pytest.mark.parametrize(
    ("name", "precision", "error", "agreement"),
    [
        ("unet8", "fp32", 1e-3, 0.9999),
        ("s2d16", "fp32", 1e-3, 0.9999),
        ("unet8", "fp16", 0.03, 0.999),
        ("unet8", "w8", 0.15, 0.997),
        pytest.param("s2d16", "w8", 0.15, 0.997, marks=pytest.mark.slow),
        ("unet8", "palette6", 1.0, 0.98),
        pytest.param("s2d16", "palette6", 1.0, 0.98, marks=pytest.mark.slow),
        pytest.param("unet8", "palette4", 4.0, 0.9, marks=pytest.mark.slow),
        pytest.param("s2d16", "fp16", 0.03, 0.999, marks=pytest.mark.slow),
        pytest.param("unet8", "int8", 0.3, 0.995, marks=pytest.mark.slow),
        pytest.param("s2d16", "int8", 0.3, 0.995, marks=pytest.mark.slow),
    ],
)
def test_logits_stay_close(tmp_path, name, precision, error, agreement):
    path = emit(job(tmp_path, name, precision))
    assert path == tmp_path / f"model.{precision}.mlpackage"
    worst, same = compare(path, name)
    print(f"{name} {precision}: error {worst:.6f}, agreement {same:.6f}")
    assert worst <= error
    assert same >= agreement


@pytest.mark.parametrize("precision", ["fp32", "fp16", pytest.param("int8", marks=pytest.mark.slow)])
def test_raw_mask_equals_mask_of_tensor_logits(tmp_path, precision):
    raw = load(emit(job(tmp_path, precision=precision, io="raw")), 1)
    tensor = load(emit(job(tmp_path, precision=precision)), 1)
    for pixels in scenes(600, 3)[0]:
        assert pixels.max() > 2048
        mask = raw(pixels.transpose(2, 0, 1)[None])
        assert mask.dtype == np.uint8
        assert mask.shape == (1, SIZE, SIZE)
        assert (mask == mask_of(tensor(normalise(pixels, CONTRACT)))).mean() > 0.9995  # 1/std is rounded once more


@pytest.mark.slow
def test_int8_keeps_the_ends_of_the_network_in_floating_point(tmp_path):
    program = Program.open(emit(job(tmp_path, precision="int8", io="raw")))
    steps = {step.output: step for step in program.steps}
    convolutions = [step for step in program.steps if step.kind == "conv"]

    def kind_before(step):
        return steps[step.reads[0]].kind

    assert [kind_before(conv) == "dequantize" for conv in convolutions] == [False] + [True] * 18
    # The head reads what the last block wrote in int8, but its own weights, logits and argmax are fp16.
    argmax = next(step for step in program.steps if step.kind == "reduce_argmax")
    assert argmax.reads == (convolutions[-1].output,)
    before = program.steps[: program.steps.index(convolutions[0])]
    assert {step.kind for step in before} <= {"cast", "clip", "sub", "mul", "real_div"}
    assert {step.dtype for step in before if step.kind != "cast"} == {"fp32"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "bits", "slack"),
    [("fp16", 16, 0.02), ("int8", 8, 0.05), ("w8", 8, 0.05), ("palette6", 6, 0.1), ("palette4", 4, 0.1)],
)
def test_weights_take_as_many_bits_as_the_precision_says(tmp_path, precision, bits, slack):
    def size(name):
        return (emit(job(tmp_path, precision=name)) / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size

    assert size(precision) == pytest.approx(size("fp32") * bits / 32, rel=slack)


@pytest.mark.parametrize(
    ("precision", "unpacks"), [("w8", "constexpr_affine_dequantize"), ("palette6", "constexpr_lut_to_dense")]
)
def test_all_weights_but_those_of_the_ends_are_compressed(tmp_path, precision, unpacks):
    spec = coreml.ct.utils.load_spec(str(emit(job(tmp_path, precision=precision, calibration=[]))))
    block = spec.mlProgram.functions["main"].block_specializations["CoreML7"]
    names = {op.outputs[0].name for op in block.operations if op.type == unpacks}
    weighted = [op for op in block.operations if op.type in ("conv", "conv_transpose")]
    compressed = [op.inputs["weight"].arguments[0].name in names for op in weighted]
    assert compressed == [False] + [True] * (len(weighted) - 2) + [False]


@pytest.mark.parametrize(("channels", "space"), [(1, "GRAYSCALE"), (3, "RGB")])
def test_raw_takes_a_picture_where_pixels_are_one(tmp_path, channels, space):
    intensity = Intensity(0.0, 255.0, (101.3,) * channels, (51.7,) * channels)
    contract = replace(CONTRACT, channels=channels, pixel="uint8", intensity=intensity)
    network = torch.nn.Conv2d(channels, CLASSES, 3, padding=1).eval()
    path = emit(job(tmp_path, io="raw", network=network, contract=contract))
    kind = coreml.ct.utils.load_spec(str(path)).description.input[0].type
    assert kind.WhichOneof("Type") == "imageType"
    assert kind.imageType.ColorSpace.Name(kind.imageType.colorSpace) == space
    assert (kind.imageType.height, kind.imageType.width) == (SIZE, SIZE)
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, channels), np.uint8)
    with torch.no_grad():
        expected = mask_of(network(torch.from_numpy(normalise(pixels, contract))).numpy())
    np.testing.assert_array_equal(load(path, 1)(pixels.transpose(2, 0, 1)[None]), expected)


def test_contract_and_description_travel_with_the_package(tmp_path):
    path = emit(job(tmp_path, io="raw"))
    model = coreml.ct.models.MLModel(str(path), skip_model_load=True)
    assert Contract.from_dict(json.loads(model.user_defined_metadata[CONTRACT_KEY])) == CONTRACT
    assert model.user_defined_metadata[CONTRACT_KEY] == CONTRACT.to_json()
    assert model.short_description == CONTRACT.intended_use
    assert "0 background, 1 liver" in model.output_description["mask"]
    spec = model.get_spec()
    assert spec.specificationVersion == 8  # iOS 17
    assert list(spec.description.input[0].type.multiArrayType.shape) == [1, 1, SIZE, SIZE]


def test_equal_jobs_give_equal_bytes(tmp_path):
    hashes = []
    for _ in range(2):
        path = emit(job(tmp_path, precision="fp16"))  # the second replaces the first
        files = sorted(file for file in path.rglob("*") if file.is_file())
        hashes.append([(str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])
    assert len(hashes[0]) == 3
    assert hashes[0] == hashes[1]


def test_emit_prints_nothing(tmp_path, capfd, caplog):
    emit(job(tmp_path, precision="fp16", io="raw"))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.slow
def test_import_prints_nothing():
    command = [sys.executable, "-W", "error", "-c", "import convert.targets.coreml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_int8_without_calibration_is_refused(tmp_path):
    with pytest.raises(UsageError, match="without calibration images"):
        emit(job(tmp_path, precision="int8", calibration=[]))
    assert list(tmp_path.iterdir()) == []


def test_int8_of_a_network_that_overflows_fp16_is_refused(tmp_path):
    network = copy.deepcopy(trained("unet8"))
    network.head.weight.data *= 6e4 / network.head.weight.data.abs().max()  # fp16 ends at 65504
    with pytest.raises(RefusedError, match=r"leaves fp16's range.*--precision fp32"):
        emit(job(tmp_path, precision="int8", network=network, calibration=scenes(1, 1)[0]))


def test_ranges_span_all_samples_and_are_shared_around_a_concatenation(tmp_path):
    program = Program.open(emit(job(tmp_path)))
    samples = [normalise(pixels, CONTRACT) for pixels in scenes(1, 3)[0]]
    ranges = activation_ranges(program, samples)
    assert ranges["image"]["rmin"] == min(sample.min() for sample in samples)
    assert ranges["image"]["rmax"] == max(sample.max() for sample in samples)
    concat = next(step for step in program.steps if step.kind == "concat")
    assert all(ranges[name] == ranges[concat.output] for name in concat.reads)
    dead = activation_ranges(program, [np.zeros_like(samples[0])])
    assert all(known["rmax"] > 0 for known in dead.values())


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # what coremltools had begun
def test_what_coremltools_cannot_convert_is_refused_in_one_line(tmp_path):
    resize = torch.nn.Upsample(scale_factor=2, mode="bicubic")
    network = torch.nn.Sequential(torch.nn.Conv2d(1, CLASSES, 2, stride=2), resize).eval()
    with pytest.raises(RefusedError, match=r"coremltools cannot convert.*bicubic.*convert\.lint"):
        emit(job(tmp_path, network=network))
    gc.collect()


def test_a_palette_without_scikit_learn_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(MissingDependency, match=r"palette6.*pip install scikit-learn==1\.5\.1"):
        emit(job(tmp_path, precision="palette6"))


def test_a_coremltools_without_the_private_function_is_named(monkeypatch):
    module = coreml.importlib.import_module("coremltools.optimize.coreml._post_training_quantization")
    monkeypatch.delattr(module, "_get_activation_calibration_stats")
    with pytest.raises(MissingDependency, match=r"pip install coremltools==9\.0"), calibrated_by({}):
        pass
