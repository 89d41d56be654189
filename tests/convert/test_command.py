"""`python -m convert` as a person meets it when things go wrong: killed, full, read-only, a model that int8 breaks."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from fragile import fragile_run

from acwskd_edge.bundle import open_bundle
from acwskd_edge.errors import UsageError
from acwskd_edge.files import only_writer
from convert.basis import Settings
from convert.pipeline import convert
from train.loop import train
from train.recipe import Recipe

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
POWERLESS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]  # root to whom permissions apply


def start(*words: object, module: str = "convert", prefix: list[str] | None = None) -> subprocess.Popen[str]:
    """The command in the background."""
    return subprocess.Popen(
        [*(prefix or []), sys.executable, "-m", module, *map(str, words)],
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(*words: object, module: str = "convert", prefix: list[str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = start(*words, module=module, prefix=prefix)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def converted(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a bundle of one artefact."""
    copy = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("command") / "run"))
    convert(copy, Settings(["onnx"], ["fp32"], ["tensor"], max_dice_drop=1.0))
    return copy


@pytest.fixture
def place(converted: Path, tmp_path: Path) -> Path:
    """The same, free to be spoilt."""
    return Path(shutil.copytree(converted, tmp_path / "run"))


@pytest.fixture(scope="module")
def fragile(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned enough to have something to lose, and loses it in int8."""
    data = f"flare22:{tiny_run.parent / 'data'}"
    plain = {"name": "plain"}
    recipe = Recipe(
        data=data, objective=plain, size=32, steps=150, batch=4, validate_every=150, threads=1, precision="fp32"
    )
    folder = tmp_path_factory.mktemp("fragile")
    return fragile_run(train(recipe, folder / "run"), folder / "fragile")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def test_a_killed_conversion_leaves_the_bundle_and_the_next_one_cleans_up(place: Path) -> None:
    before = files_of(place / "bundle")
    process = start(place, "--target", "onnx", "--precision", "fp16", "--max-dice-drop", 1)
    while not list(place.glob(".bundle.new-*/onnx")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert files_of(place / "bundle") == before
    assert list(place.glob(".bundle.new-*"))
    code, _, err = run(place, "--target", "onnx", "--precision", "fp32,fp16", "--max-dice-drop", 1)
    assert code == 0, err
    assert not list(place.glob(".bundle*"))
    assert len(open_bundle(place).artefacts) == 2


def test_the_second_of_two_conversions_is_refused_at_once(place: Path) -> None:
    with only_writer(place):
        code, _, err = run(place, "--target", "onnx")
    assert code == 3
    assert err == (f"error: another command is writing into {place}; next: wait for it, or choose another folder\n")


def test_a_read_only_folder_is_one_clear_line(place: Path) -> None:
    root = os.geteuid() == 0
    if root and not shutil.which("setpriv"):
        pytest.skip("root may write anywhere; apt install util-linux")
    before = files_of(place)
    place.chmod(0o555)
    code, _, err = run(place, "--target", "onnx", "--precision", "fp16", prefix=POWERLESS if root else None)
    place.chmod(0o755)
    assert code == 2
    assert err.startswith(f"error: cannot write into {place} (Permission denied); next: choose another ")
    assert err.count("\n") == 1
    assert files_of(place) == before


@pytest.mark.parametrize("target", ["onnx", pytest.param("coreml", marks=pytest.mark.slow)])
def test_a_full_disk_is_one_clear_line_and_leaves_the_bundle(place: Path, target: str) -> None:
    """Full for every file that would grow beyond 300 kB."""
    before = files_of(place)
    small = ["bash", "-c", 'ulimit -f 293; exec "$@"', "bash"]  # blocks of 1,024 bytes
    code, _, err = run(place, "--target", target, "--max-dice-drop", 1, "--precision", "fp16,fp32", prefix=small)
    assert code == 2, err
    error = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert len(error) == 1
    assert error[0].startswith("error: cannot write ")
    assert "next: free " in error[0]
    assert files_of(place) == before
    open_bundle(place)


@pytest.mark.parametrize("which", ["run", "temporary"])
def test_a_nearly_full_disk_is_refused_before_anything_starts(
    place: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    before, honest = files_of(place), shutil.disk_usage
    full = place if which == "run" else Path(tempfile.gettempdir())
    monkeypatch.setattr(
        shutil, "disk_usage", lambda one: honest(one)._replace(free=10**7) if one == full else honest(one)
    )
    with pytest.raises(UsageError, match=rf"{full} has 10 MB free; allowed: \d\d MB; next: free space"):
        convert(place, Settings(["onnx"], ["fp16"], ["tensor"]))
    assert files_of(place) == before


@pytest.mark.parametrize(
    "target", ["onnx", *(pytest.param(one, marks=pytest.mark.slow) for one in ("tflite", "coreml"))]
)
def test_int8_of_a_fragile_network_is_refused_and_auto_finds_a_rung(fragile: Path, tmp_path: Path, target: str) -> None:
    place = Path(shutil.copytree(fragile, tmp_path / "fragile"))
    code, out, err = run(place, "--target", target, "--precision", "int8")
    assert code == 3, out + err
    assert f"1 artefact(s) refused: {target}-int8 (class " in err
    assert "worst in case FLARE22_Tr_" in err
    assert "next: --precision auto" in err
    assert not open_bundle(place).artefacts
    assert len(list((place / "rejected").glob(f"{target}-model.int8.*.rejected"))) == 1

    code, out, err = run(place, "--target", target, "--precision", "auto")
    assert code == 0, out + err
    assert f"{target}: each layer alone in int8, on " in out
    bundle = open_bundle(place)
    (ladder,) = bundle.report["ladders"]
    assert f"{target}-{bundle.artefacts[0].precision}" == ladder["passed"]
    assert ladder["rungs"][0]["verdict"] == "rejected"
    assert ladder["rungs"][-1]["verdict"] == "passed"
    (measured,) = bundle.report["sensitivity"]
    two = sorted(measured["layers"], key=lambda one: -one["lost"])[:2]
    assert {one["layer"] for one in two} == {"down.1.0", "down.1.3"}
    assert (bundle.root / target / "sensitivity.png").read_bytes()[:4] == b"\x89PNG"
    if bundle.artefacts[0].precision == "mixed":
        entry = bundle.measured(bundle.artefacts[0])
        assert {"down.1.0", "down.1.3"} <= set(entry["keep"])
        assert entry["calibration"]["split"] == "train"

    code, out, err = run(place, "--target", target, "--precision", "auto")
    assert (code, err) == (0, ""), out + err
    assert f"{target} auto: up to date (int8 rejected " in out
    assert json.loads((place / "bundle/report.json").read_text()) == bundle.report

    code, out, err = run(place, "-o", tmp_path / "table.csv", module="benchmarks.conversions")
    assert (code, err) == (0, ""), out + err
    assert f"| fragile | {target} | int8 | tensor | " in out
    assert " | rejected | " in out
    with (tmp_path / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [one["verdict"] for one in rows] == [one["verdict"] for one in bundle.report["artefacts"]]
    assert all(float(one["seconds"]) >= 0 for one in rows)
