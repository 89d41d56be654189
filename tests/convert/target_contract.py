"""What every target must keep; one short subclass per target states its name and how to read its contract back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from acwskd_edge import runtimes
from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.errors import UsageError
from acwskd_edge.models import build_model
from acwskd_edge.models.unet import UNet
from acwskd_edge.preprocess import mask_of, normalise
from convert.export import Job
from convert.targets import TARGETS

SIZE, CLASSES = 64, 4
Images = list[NDArray[np.generic]]
Emit = Callable[..., tuple[Job, Path]]
ARTEFACTS: dict[Path, Path] = {}


def toy_contract(pixel: str) -> Contract:
    """A CT-like contract (int16, one channel) or a colour one (uint8, three)."""
    intensity = {
        "int16": Intensity(-160.0, 240.0, (30.5,), (90.25,)),
        "uint8": Intensity(0.0, 255.0, (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
    }[pixel]
    labels = tuple(Label(k, f"class {k}", (60 * k, 0, 0)) for k in range(CLASSES))
    channels = len(intensity.mean)
    return Contract(
        "toy", "CT", SIZE, SIZE, channels, pixel, "letterbox", intensity, labels, None, "none", {"note": "Zürich"}
    )


def toy_images(contract: Contract, count: int, seed: int) -> tuple[Images, list[NDArray[np.int64]]]:
    """Noisy discs, brighter with the class id: pixels (h, w, C) and labels (h, w)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    low, high = contract.intensity.low, contract.intensity.high
    images, labels = [], []
    for _ in range(count):
        label = np.zeros((SIZE, SIZE), np.int64)
        for k in range(1, CLASSES):
            y, x, radius = *rng.uniform(12, SIZE - 12, 2), rng.uniform(6, 14)
            label[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = k
        clean = low + (high - low) * (label + 0.5) / CLASSES
        noise = rng.normal(0, (high - low) * 0.05, (SIZE, SIZE, contract.channels))
        images.append(np.clip(np.rint(clean[..., None] + noise), low, high).astype(contract.pixel))
        labels.append(label)
    return images, labels


@lru_cache(maxsize=4)
def toy_network(pixel: str, name: str = "s2d16") -> UNet:
    """Trained for a second or two: logits span several units and batch norm means something."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    contract = toy_contract(pixel)
    network = build_model(name, contract.channels, CLASSES)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    images, labels = toy_images(contract, 160, seed=1)
    for step in range(0, 160, 4):
        batch = torch.from_numpy(np.concatenate([normalise(one, contract) for one in images[step : step + 4]]))
        loss = torch.nn.functional.cross_entropy(network(batch), torch.from_numpy(np.stack(labels[step : step + 4])))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def toy_job(folder: Path, precision: str, io: str, pixel: str = "int16", name: str = "s2d16") -> Job:
    """A job on the toy network, eight calibration images."""
    contract = toy_contract(pixel)
    calibration = toy_images(contract, 8, seed=2)[0]
    return Job(toy_network(pixel, name), contract, precision, io, calibration, folder)


def reference(job: Job, image: NDArray[np.generic]) -> NDArray[np.float32]:
    """What PyTorch answers: logits (1, K, h, w)."""
    with torch.inference_mode():
        return np.asarray(job.network(torch.from_numpy(normalise(image, job.contract))).numpy())


class TargetContract:
    """Subclass as `Test<Name>`; see test_onnx_target.py."""

    target: ClassVar[str]
    fp32_error: ClassVar[float] = 1e-3
    fp16_error: ClassVar[float] = 0.05
    int8_agreement: ClassVar[float] = 0.97
    stores_int8: ClassVar[bool] = True  # False: the file's weights are float32 behind Q/DQ

    def read_contract(self, path: Path) -> str:
        """The contract's JSON text, out of the artefact."""
        raise NotImplementedError

    @pytest.fixture
    def emit(self, tmp_path_factory: pytest.TempPathFactory) -> Emit:
        """Emit once per target and (precision, io, pixel)."""

        def once(precision: str, io: str, pixel: str = "int16") -> tuple[Job, Path]:
            folder = tmp_path_factory.getbasetemp() / f"{self.target}-{precision}-{io}-{pixel}"
            job = toy_job(folder, precision, io, pixel)
            if folder not in ARTEFACTS:
                folder.mkdir()
                ARTEFACTS[folder] = TARGETS[self.target].emit(job)
            return job, ARTEFACTS[folder]

        return once

    def run(self, path: Path, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """Through the target's own runtime."""
        return runtimes.load(TARGETS[self.target].runtime, path)(batch)

    def compare(self, job: Job, path: Path) -> tuple[float, float]:
        """Largest logit error and share of equal argmax over three new images."""
        errors, equal = [], []
        for image in toy_images(job.contract, 3, seed=3)[0]:
            expected, got = reference(job, image), self.run(path, normalise(image, job.contract))
            assert got.dtype == np.float32
            assert got.shape == expected.shape
            errors.append(np.abs(got - expected).max())
            equal.append(np.mean(mask_of(got) == mask_of(expected)))
        return float(max(errors)), float(np.mean(equal))

    def test_fp32_equals_the_checkpoint(self, emit: Emit) -> None:
        error, agreement = self.compare(*emit("fp32", "tensor"))
        assert error <= self.fp32_error
        assert agreement >= 0.9999

    @pytest.mark.slow
    def test_fp16_is_close(self, emit: Emit) -> None:
        error, agreement = self.compare(*emit("fp16", "tensor"))
        assert error <= self.fp16_error
        assert agreement >= 0.995

    @pytest.mark.slow
    def test_int8_agrees(self, emit: Emit) -> None:
        assert self.compare(*emit("int8", "tensor"))[1] >= self.int8_agreement

    @pytest.mark.slow
    def test_lower_precision_is_smaller(self, emit: Emit) -> None:
        sizes = [_size(emit(precision, "tensor")[1]) for precision in ("fp32", "fp16", "int8")]
        assert sizes[1] < 0.6 * sizes[0]
        assert sizes[2] < 0.4 * sizes[0] or not self.stores_int8

    @pytest.mark.slow
    @pytest.mark.parametrize("pixel", ["int16", "uint8"])
    @pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
    def test_raw_mask_is_the_argmax_of_the_logits(self, emit: Emit, precision: str, pixel: str) -> None:
        job, raw = emit(precision, "raw", pixel)
        _, tensor = emit(precision, "tensor", pixel)
        image = toy_images(job.contract, 1, seed=3)[0][0]
        mask = self.run(raw, image.transpose(2, 0, 1)[None])
        assert mask.dtype == np.uint8
        assert mask.shape == (1, SIZE, SIZE)
        expected = mask_of(self.run(tensor, normalise(image, job.contract)))
        assert np.mean(mask == expected) >= (0.9999 if precision == "fp32" else 0.995)

    @pytest.mark.slow
    def test_kept_layers_stay_float_and_jobs_share_their_trace(self, emit: Emit, tmp_path: Path) -> None:
        whole, plain = emit("int8", "tensor")
        job = replace(whole, folder=tmp_path, keep=("down.3.0", "down.3.3"))
        path = TARGETS[self.target].emit(job)
        assert path.stem == "model.mixed"
        kept = sum(np.prod(one.weight) for one in job.layers if one.name in job.keep)
        assert _size(path) > _size(plain) + 0.9 * kept or not self.stores_int8
        assert self.compare(job, path)[1] >= self.int8_agreement
        shared = set(job.shared)
        assert len(shared) >= 3  # trace, ranges, layers
        again = TARGETS[self.target].emit(replace(job, shared={}))
        assert _bytes(again) == _bytes(path)
        assert set(job.shared) == shared

    @pytest.mark.slow
    def test_one_layer_alone_in_int8_is_closer_than_all_of_them(self, emit: Emit, tmp_path: Path) -> None:
        whole, plain = emit("int8", "tensor")
        names = [layer.name for layer in whole.layers]
        job = replace(whole, folder=tmp_path, keep=tuple(name for name in names if name != "merge.1.0"))
        error, agreement = self.compare(job, TARGETS[self.target].emit(job))
        assert 0 < error < self.compare(whole, plain)[0]
        assert agreement >= 0.995

    def test_contract_comes_back(self, emit: Emit) -> None:
        job, path = emit("fp32", "tensor")
        assert self.read_contract(path) == job.contract.to_json()

    def test_no_path_of_this_machine_inside(self, emit: Emit) -> None:
        _, path = emit("fp32", "tensor")
        files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
        for one in files:
            content = one.read_bytes()
            for trace in (str(Path(__file__).parents[2]), "site-packages", str(Path.home()) + "/", "/tmp/"):
                assert trace.encode() not in content, f"{trace} in {one.name}"

    @pytest.mark.slow
    @pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
    def test_same_job_same_bytes(self, emit: Emit, tmp_path: Path, precision: str) -> None:
        _, path = emit(precision, "tensor")
        assert _bytes(TARGETS[self.target].emit(toy_job(tmp_path, precision, "tensor"))) == _bytes(path)

    @pytest.mark.slow
    def test_emit_is_silent(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        TARGETS[self.target].emit(toy_job(tmp_path, "int8", "tensor"))
        captured = capfd.readouterr()
        assert captured.out == ""
        assert captured.err == ""

    def test_illegal_precision_is_refused_with_the_legal_ones(self) -> None:
        with pytest.raises(UsageError, match=r"int3.*allowed: .*fp32"):
            TARGETS[self.target].preflight("int3")

    def test_another_shape_is_refused(self, emit: Emit) -> None:
        _, path = emit("fp32", "tensor")
        with pytest.raises(UsageError, match=r"allowed: \(1, 1, 64, 64\)"):
            self.run(path, np.zeros((1, 1, 32, 64), np.float32))


def _bytes(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    return {str(one.relative_to(path)): one.read_bytes() for one in files}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(one.stat().st_size for one in path.rglob("*"))
