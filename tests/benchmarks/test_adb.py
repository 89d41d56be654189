"""`--device adb` with LiteRT's benchmark_model: a fake adb, a fake phone. tests/demos/test_adbd.py has a real adbd."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import fake_adb
import pytest
from documents import check_document

from acwskd_edge.bench.measure import Settings
from acwskd_edge.bench.table import table
from acwskd_edge.bundle import Bundle, open_bundle
from acwskd_edge.errors import AcwskdError, MissingDependency, RefusedError, UsageError
from benchmarks.device import adb as adb_module
from benchmarks.device.adb import Adb
from benchmarks.device.benchmark_model import PASSES, check_tool, measure_with_tool, parse
from convert.ssh import Dropped, Unreachable

SHIPPED = Path(__file__).parents[2] / "web_demo/bundle"
SETTINGS = Settings(runs=60, threads=4)
Document = dict[str, Any]


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = fake_adb.install(tmp_path / "fake")
    monkeypatch.setenv("PATH", f"{tmp_path / 'fake/bin'}:{os.environ['PATH']}")
    for module in (adb_module, "benchmarks.device.benchmark_model"):
        name = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{name}.PLACE", str(folder / "tmp"))
    return folder


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    """The head of a program for aarch64."""
    path = tmp_path / "android_aarch64_benchmark_model"
    path.write_bytes(fake_adb.elf(183))
    return path


@pytest.fixture
def bundle() -> Bundle:
    return open_bundle(SHIPPED)


def measured(bundle: Bundle, tool: Path, found: Document | None = None, flags: list[str] | None = None) -> Document:
    seen: list[Document] = []
    measure_with_tool(Adb(""), tool, flags or [], bundle, SETTINGS, seen.append, found)
    check_document(seen[0])
    check_document(seen[-1])
    return seen[-1]


def test_every_artefact_is_timed_forwards_and_backwards(phone: Path, bundle: Bundle, tool: Path) -> None:
    document = measured(bundle, tool, flags=["--use_gpu=true"])
    assert document["complete"]
    assert {key: document["device"][key] for key in ("kind", "model", "processor", "system", "architecture")} == {
        "kind": "adb",
        "model": "Fake Phone 1",
        "processor": "F1000",
        "system": "Android 14",
        "architecture": "aarch64",
    }
    ran = [line.split(maxsplit=2) for line in (phone / "ran").read_text().splitlines()]
    forwards = [f"model{i}.tflite" for i in range(3)]
    assert [one[0] for one in ran] == (forwards + forwards[::-1]) * (PASSES // 2)
    assert {one[1] for one in ran} == {"4"}
    assert all("--use_gpu=true" in one[2] for one in ran)
    for row in document["rows"]:
        latency = row["model"]["latency"]
        assert latency["median_ms"] == pytest.approx(row["bytes"] / 1e5, rel=0.01)
        assert (latency["n"], latency["of"]) == (60, "means of 6 passes")
        assert latency["median_ci95_ms"] == [latency["mean_ms"]] * 2 or latency["median_ci95_ms"]
        assert row["fresh"]["cold_start_ms"] == pytest.approx(20.215 + 32.477)
        assert row["fresh"]["model_mb"] == 6.82812
        assert row["state"] is None  # it feeds noise: nothing is known of the answers
        assert "answers are not checked" in row["detail"]
    assert document["rows"][2]["times_fp32"]["ratio"] > 2
    assert document["conditions"][0]["battery_celsius"] == 31.2
    assert document["conditions"][0]["thermal_status"] == 1
    assert "not checked, benchmark_model feeds noise" in table(document)


def test_a_second_time_runs_nothing(phone: Path, bundle: Bundle, tool: Path) -> None:
    document = measured(bundle, tool)
    ran = (phone / "ran").read_text()
    assert measured(bundle, tool, json.loads(json.dumps(document))) == document
    assert (phone / "ran").read_text() == ran


def test_a_phone_that_is_pulled_keeps_its_passes_and_the_next_time_continues(
    phone: Path, bundle: Bundle, tool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (phone / "gone-after").write_text("4")
    seen: list[str] = []
    with pytest.raises(Dropped, match=r"^FAKE0001 is gone \(.*; next: connect it; the same command continues"):
        measure_with_tool(Adb(""), tool, [], bundle, SETTINGS, lambda one: seen.append(json.dumps(one)), None)
    kept = json.loads(seen[-1])
    assert [len(row["model"]["samples_ms"]) for row in kept["rows"]] == [1, 1, 2]
    with pytest.raises(UsageError, match=r"^no phone is connected; next: "):
        Adb("")
    (phone / "state").write_text("device")
    (phone / "gone-after").unlink()
    capsys.readouterr()
    document = measured(bundle, tool, kept)
    assert [len(row["model"]["samples_ms"]) for row in document["rows"]] == [PASSES] * 3
    assert "pushing" not in capsys.readouterr().out
    assert len((phone / "ran").read_text().splitlines()) == 3 * PASSES


def test_a_phone_without_tools_is_measured_all_the_same(phone: Path, bundle: Bundle, tool: Path) -> None:
    (phone / "no-tools").touch()
    document = measured(bundle, tool)
    assert document["rows"][0]["model"]["latency"]["n"] == 60
    assert document["device"]["model"] is None
    assert document["conditions"][0]["battery_celsius"] is None


def test_an_artefact_that_the_tool_cannot_load_is_one_row(
    phone: Path, bundle: Bundle, tool: Path, tmp_path: Path
) -> None:
    seen: list[Document] = []
    spoilt = tmp_path / "spoilt.tflite"
    spoilt.write_bytes(b"no graph")
    first = bundle.artefacts[0].id
    honest = Bundle.path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bundle, "path", lambda self, one: spoilt if one.id == first else honest(self, one))
        measure_with_tool(Adb(""), tool, [], bundle, SETTINGS, seen.append, None)
    states = [row["state"] for row in seen[-1]["rows"]]
    assert states == ["FAILED", None, None]
    assert seen[-1]["rows"][0]["detail"] == (
        "benchmark_model ended with exit code 1 (ERROR: Failed to load model model0.tflite)"
    )


def test_an_emulator_has_no_times(phone: Path, bundle: Bundle, tool: Path) -> None:
    (phone / "emulator").touch()
    with pytest.raises(RefusedError, match="FAKE0001 is an emulator"):
        measured(bundle, tool)


@pytest.mark.parametrize(
    ("state", "kind", "line"),
    [
        ("unauthorized", Unreachable, "FAKE0001 is unauthorized; next: unlock it and accept this machine's key"),
        ("offline", Unreachable, "FAKE0001 is offline; next: "),
        ("gone", UsageError, "no phone is connected; next: connect one, switch USB debugging on, adb devices"),
    ],
)
def test_a_phone_that_cannot_be_used_is_one_line(phone: Path, state: str, kind: type[AcwskdError], line: str) -> None:
    (phone / "state").write_text(state)
    with pytest.raises(kind) as caught:
        Adb("")
    assert str(caught.value).startswith(line)


def test_another_serial_is_one_line(phone: Path) -> None:
    with pytest.raises(Unreachable, match=r"^no phone OTHER \(FAKE0001 connected\); next: adb devices"):
        Adb("OTHER")
    with pytest.raises(UsageError, match=r"^--device adb:-x; allowed: "):
        Adb("-x")


def test_no_adb_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="--device adb needs adb; next: apt install adb"):
        Adb("")


@pytest.mark.parametrize(
    ("machine", "architecture", "line"),
    [
        (62, "aarch64", "is for x86-64, the phone is aarch64"),
        (183, "armv7l", "is for aarch64, the phone is armv7l"),
        (None, "aarch64", "is no program for Android; allowed: "),
    ],
)
def test_a_tool_for_another_processor_is_refused(
    tmp_path: Path, machine: int | None, architecture: str, line: str
) -> None:
    (tmp_path / "tool").write_bytes(b"#!/bin/sh" if machine is None else fake_adb.elf(machine))
    with pytest.raises(UsageError, match=line):
        check_tool(tmp_path / "tool", architecture)


def test_a_flag_that_could_be_anything_else_is_refused(phone: Path, bundle: Bundle, tool: Path) -> None:
    for flag in ("--use_gpu=true; reboot", "-x", "--graph=$(id)", "--a=b c"):
        with pytest.raises(UsageError, match=r"^--benchmark-flag "):
            measured(bundle, tool, flags=[flag])


def test_large_times_are_read() -> None:
    said = parse(
        "Inference timings in us: Init: 5685, First inference: 18535, "
        "Warmup (avg): 14462.3, Inference (avg): 1.45752e+06"
    )
    assert said["mean_ms"] == 1457.52
    assert said["n"] == 0
    assert said["model_mb"] is None
