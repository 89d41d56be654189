"""The command lines as a person types them: help at once, mistakes in one line, exit codes 2 and 3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from disk import write_flare
from spoil import damage

from convert.basis import Settings
from convert.pipeline import convert

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "train": ["-m", "train"],
    "convert": ["-m", "convert"],
    "benchmarks": ["-m", "benchmarks"],
    "benchmarks.device": ["-m", "benchmarks.device"],
    "benchmarks.device.arm64": ["-m", "benchmarks.device.arm64"],
    "benchmarks.peers": ["-m", "benchmarks.peers"],
    "benchmarks.roofline": ["-m", "benchmarks.roofline"],
    "benchmarks.search": ["-m", "benchmarks.search"],
    "acwskd-edge": ["-m", "acwskd_edge.cli"],
    "verify": ["-m", "acwskd_edge.cli", "verify"],
    "predict": ["-m", "acwskd_edge.cli", "predict"],
    "bench": ["-m", "acwskd_edge.cli", "bench"],
}


def run(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command from the checkout."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"},
        **options,  # type: ignore[call-overload]
    )


def test_a_reader_of_the_output_may_leave() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "benchmarks.sweep", "acdc", "--dry-run"]
    done = subprocess.run(words, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_instant_and_explains(name: str) -> None:
    def seconds(*words: str) -> float:
        started = time.perf_counter()
        assert run(*words).returncode == 0
        return time.perf_counter() - started

    bare = min(seconds("-c", "pass") for _ in range(3))
    helped = min(seconds(*COMMANDS[name], "--help") for _ in range(3))
    assert helped - bare < 0.3
    if name not in ("verify", "predict", "bench"):
        assert "examples:" in run(*COMMANDS[name], "--help").stdout


@pytest.fixture(scope="module")
def bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ONNX bundle."""
    copy = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("commands") / "run"))
    return convert(copy, Settings(["onnx"], ["fp32"], ["tensor", "raw"], max_dice_drop=1.0))


@pytest.fixture
def wrong(tiny_run: Path, bundle: Path, tmp_path: Path) -> dict[str, Path]:
    """Everything a person could point at by mistake."""
    tampered = Path(shutil.copytree(bundle, tmp_path / "tampered"))
    (tampered / "contract.json").write_text("{}")
    cut = tmp_path / "cut.nii.gz"
    good = tmp_path / "good.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).normal(size=(20, 16, 6)), np.eye(4)), good)
    cut.write_bytes(good.read_bytes()[:-300])
    nan = tmp_path / "nan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.full((20, 16, 6), np.nan), np.eye(4)), nan)
    (tmp_path / "text.png").write_text("no picture")
    places = {"run": tiny_run, "bundle": bundle, "tampered": tampered, "tmp": tmp_path}
    for how in ("truncated", "NaN", "label id", "shape"):
        name = how.replace(" ", "_")
        for number in (1, 2, 3):
            write_flare(tmp_path / name, f"FLARE22_Tr_{number:04d}", number)
        damage(tmp_path / name, how)
        places[name] = tmp_path / name
    return places


MISTAKES = {
    "train --recipe nothing": (2, "no recipe 'nothing'; allowed: "),
    "train --data brats:x": (2, "unknown data kind 'brats'"),
    "train --data flare22:{tmp}/absent": (2, "is not a FLARE2022 folder; allowed: "),
    "train --data flare22:{truncated}": (2, "truncated or damaged"),
    "train --data flare22:{NaN}": (2, "NaN or infinite voxels; next: repair or exclude the scan"),
    "train --data flare22:{label_id}": (2, "label value(s) 99 outside the label map; allowed: 0 background, 1 liver"),
    "train --data flare22:{shape}": (2, "image is (6, 16, 20) but label is (6, 16, 19); next: resample"),
    "train --set model=resnet": (2, "unknown model 'resnet'; allowed: unet64"),
    "train --model nets:build --penultimate up": (2, "cannot be imported (no module 'nets'); next: run where it lies"),
    "train --devices 3": (2, "batch 8 on 3 processes; allowed: a multiple of devices x nodes"),
    "train --set objective.gamma=1": (2, "objective acw_skd has no setting gamma; allowed: "),
    "train --steps many": (2, "invalid int value: 'many'"),
    "train --set step=3": (2, "unknown field 'step'; allowed: "),
    "train --set steps": (2, "allowed: field=value"),
    "convert": (2, "no RUN, and no --weights, --contract, --out, --model, --data; next: python -m convert --help"),
    "convert {run} --target ncnn": (2, "unknown target 'ncnn'; allowed: onnx, tflite, coreml, jetson, rtx, all"),
    "convert {run} --target jetson --dla 0": (2, "a DLA takes no Q/DQ graph"),
    "convert {run} --target onnx --precision int3": (2, "precision 'int3' for target onnx; allowed: fp32, fp16, int8"),
    "convert {run} --io pixels": (2, "allowed: tensor, raw, both"),
    "convert {run} --max-dice-drop 7": (2, "allowed: 0 to 1"),
    "convert {tmp}/absent": (2, "no run folder"),
    "verify {tmp}/absent": (2, "no bundle at"),
    "verify {tampered}": (3, "was tampered with: contract.json was changed"),
    "predict {tampered} {tmp}/good.nii.gz -o {tmp}/out.nii.gz": (3, "tampered"),
    "predict {bundle} {tmp}/absent.nii.gz -o {tmp}/out.nii.gz": (2, "no file"),
    "predict {bundle} {tmp}/cut.nii.gz -o {tmp}/out.nii.gz": (2, "damaged"),
    "predict {bundle} {tmp}/nan.nii.gz -o {tmp}/out.nii.gz": (2, "NaN or infinite"),
    "predict {bundle} {tmp}/text.png -o {tmp}/out.png": (2, "not a readable picture; allowed: PNG or JPEG"),
    "predict {bundle} {tmp}/good.nii.gz -o {tmp}/out.png": (2, "allowed: a name ending in .nii, .nii.gz"),
    "predict {bundle} {tmp}/scan.dcm -o {tmp}/out.nii": (2, "allowed: .nii, .nii.gz, .png"),
    "predict {bundle} {tmp}/good.nii.gz -o {tmp}/out.nii --artefact onnx-int4": (2, "allowed: onnx-fp32"),
    "benchmarks {tmp}/absent --baseline {run}": (2, "absent"),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_clear_line(line: str, wrong: dict[str, Path], tmp_path: Path) -> None:
    code, says = MISTAKES[line]
    first, *words = line.split()
    before = set(tmp_path.rglob("*"))
    filled = [word.format(**wrong) for word in words]
    if first == "train":
        filled = ["--data", "phantom:4", *filled, "--out", str(tmp_path / "made")]
    done = run(*COMMANDS[first], *filled)
    assert done.returncode == code, done.stderr
    lines = [one for one in done.stderr.splitlines() if not one.startswith("warning: measured on a synthetic")]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    made = set(tmp_path.rglob("*")) - before
    assert not [one for one in made if one.name.startswith("out")]
    assert not [one for one in made if one.name == "made"]


def test_verify_and_predict_a_scan(bundle: Path, wrong: dict[str, Path], tmp_path: Path) -> None:
    done = run(*COMMANDS["verify"], bundle)
    assert done.returncode == 0, done.stderr
    assert "onnx-fp32-raw" in done.stdout
    for artefact in ("onnx-fp32", "onnx-fp32-raw"):
        out = tmp_path / f"{artefact}.nii.gz"
        done = run(*COMMANDS["predict"], bundle, tmp_path / "good.nii.gz", "-o", out, "--artefact", artefact)
        assert done.returncode == 0, done.stderr
        mask, scan = nibabel.load(out), nibabel.load(tmp_path / "good.nii.gz")
        assert mask.shape == scan.shape
        assert np.array_equal(mask.affine, scan.affine)
    first, second = ((tmp_path / f"{name}.nii.gz").read_bytes() for name in ("onnx-fp32", "onnx-fp32-raw"))
    assert first == second


def test_predict_a_picture(bundle: Path, tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "slice.png"), np.random.default_rng(0).integers(0, 255, (50, 70), np.uint8))
    done = run(*COMMANDS["predict"], bundle, tmp_path / "slice.png", "-o", tmp_path / "overlay.png")
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / "overlay.png")).shape == (50, 70, 3)


def test_the_library_imports_without_torch() -> None:
    modules = "bundle cli contract data.flare22 evaluate metrics picture predict preprocess verify"
    modules += " runtimes.onnx runtimes.litert"
    code = "import sys; sys.modules['torch'] = None\n" + "".join(
        f"import acwskd_edge.{name}\n" for name in modules.split()
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
