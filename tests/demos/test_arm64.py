"""What a phone's and a Raspberry Pi's kind of processor answers, in qemu-user: the same as this machine.

The emulator proves answers, never speed. Needs Debian's archive for qemu-user-static (bookworm, amd64) and Python
(bookworm, arm64), and PyPI for the aarch64 wheels; they are fetched once into the cache.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from demos.emulator import CPUS, Arm64, emulated
from demos.tools import ROOT, run
from documents import check_document
from numpy.typing import NDArray

Answers = dict[str, NDArray[np.generic]]
SCRIPT = str(ROOT / "tests/demos/answers.py")


@pytest.fixture(scope="module", params=list(CPUS))
def arm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Arm64:
    return emulated(request.param, tmp_path_factory.mktemp("prefix") / "root")


@pytest.fixture(scope="module")
def here(web_bundle: Path, vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What this machine answers, in a process like the other."""
    out = tmp_path_factory.mktemp("here") / "answers.npz"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = run([sys.executable, SCRIPT, str(web_bundle), str(vectors), str(out)], env=environment)
    assert done.returncode == 0, done.stderr
    return dict(np.load(out))


@pytest.fixture(scope="module")
def there(arm: Arm64, web_bundle: Path, vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What ARM64 answers."""
    out = tmp_path_factory.mktemp("there") / "answers.npz"
    arm.python(SCRIPT, str(web_bundle), str(vectors), str(out))
    return dict(np.load(out))


def named(answers: Answers, start: str) -> Answers:
    found = {name: one for name, one in answers.items() if name.startswith(start)}
    assert found
    return found


def test_the_processor_is_another(here: Answers, there: Answers) -> None:
    assert str(there["machine"]) == "aarch64"
    assert set(here) == set(there)


def test_every_integer_in_the_int8_network_is_equal(here: Answers, there: Answers) -> None:
    for name, values in named(there, "int8/").items():
        assert values.dtype == np.int8
        assert values.tobytes() == here[name].tobytes(), name


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_masks_are_equal_and_float_logits_nearly(here: Answers, there: Answers, precision: str) -> None:
    for name, values in named(there, f"logits/tflite-{precision}/").items():
        np.testing.assert_array_equal(values.argmax(axis=1), here[name].argmax(axis=1), err_msg=name)
        np.testing.assert_allclose(values, here[name], rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("part", ["pixels", "input", "mask"])
def test_preprocessing_of_every_vector_is_exact(vectors: Path, there: Answers, part: str) -> None:
    for folder in vectors.iterdir():
        np.testing.assert_array_equal(there[f"{part}/{folder.name}"], np.load(folder / f"{part}.npy"), folder.name)


def test_the_library_verifies_the_shipped_bundle(arm: Arm64, web_bundle: Path) -> None:
    printed = arm.python("-m", "acwskd_edge.cli", "verify", str(web_bundle)).stdout
    states = [line.split()[1] for line in printed.splitlines()]
    assert states
    assert set(states) == {"ok"}, printed


def test_a_benchmark_in_an_emulator_has_no_latency(web_bundle: Path, tmp_path: Path) -> None:
    arm = emulated("cortex-a76", tmp_path / "root")
    printed = arm.python("-m", "acwskd_edge.cli", "bench", str(web_bundle), "--json", str(tmp_path / "arm.json")).stdout
    assert "emulated by qemu-aarch64: proves answers, says nothing about speed" in printed
    document = json.loads((tmp_path / "arm.json").read_text())
    check_document(document)
    assert document["complete"]
    assert (document["device"]["architecture"], document["device"]["emulated"]) == ("aarch64", "qemu-aarch64")
    for row in document["rows"]:
        assert row["state"] == "ok"
        assert row["not_timed"] == "emulated: answers only"
        assert row["model"] == row["end_to_end"] == {"latency": None, "samples_ms": []}
        assert row["fresh"] is None
