from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import ai_edge_litert
import fake_adb
import numpy as np
import pytest
import torch
import yaml
from sshd import environment, running

from acwskd_edge.bundle import Bundle
from acwskd_edge.errors import RefusedError, UsageError
from acwskd_edge.models import MODELS, build_model, build_tapped, import_factory
from benchmarks.candidates import Candidate, from_name
from benchmarks.device.options import Place
from benchmarks.device.places import measure_at
from benchmarks.search import draw, front, main, registered, space
from convert.ssh import Dropped, Unreachable
from train.recipe import load_recipe


def row(name: str, ms: float, dice: float) -> dict[str, Any]:
    return {"name": name, "ms": ms, "dice": dice, "steps": 100}


@pytest.mark.parametrize("candidate", [Candidate(1, 8, 3, 1), Candidate(2, 16, 4, 2), Candidate(4, 24, 3, 1)])
def test_a_candidate_is_a_factory_by_its_name(candidate: Candidate) -> None:
    assert from_name(candidate.name) == candidate
    fields = candidate.fields
    tapped = build_tapped(fields["model"], 1, 3, fields["penultimate"], fields["aux"], 32)
    with torch.inference_mode():
        assert tapped(torch.zeros(1, 1, 32, 32)).shape == (1, 3, 32, 32)
    assert tapped.feature_channels[-1] == candidate.width


def test_another_name_is_no_candidate() -> None:
    assert from_name("s2w16") is None
    with pytest.raises(UsageError, match="has no function 'widest'"):
        import_factory("benchmarks.candidates:widest")


def test_a_candidate_of_the_registry_is_the_same_network() -> None:
    torch.manual_seed(0)
    ours = Candidate(2, 16, 4, 2).build(1, 3).eval()
    theirs = build_model("s2d16", 1, 3).eval()
    theirs.load_state_dict(ours.state_dict())
    image = torch.randn(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(ours(image), theirs(image))


def test_the_registrys_networks_are_found_by_their_options() -> None:
    assert registered(Candidate(2, 16, 4, 2)) == "s2d16"
    assert registered(Candidate(1, 64, 5, 2)) == "unet64"
    assert registered(Candidate(4, 16, 4, 2)) == ""
    assert all(from_name(name) is None for name in MODELS)


def test_only_candidates_that_fit_the_size_enter(capsys: pytest.CaptureFixture[str]) -> None:
    found = space([1, 4], [8], [3, 5], [1], 48)
    assert [one.name for one in found] == ["s1w8l3m1", "s1w8l5m1", "s4w8l3m1"]
    assert "1 candidate(s) left out" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--size 40 fits no candidate"):
        space([4], [8], [4, 5], [1], 40)


def test_the_front_is_what_nothing_beats_in_both() -> None:
    rows = [
        row("slow", 3, 0.8),
        row("fast", 1, 0.6),
        row("beaten", 2, 0.6),
        row("middle", 2, 0.7),
        row("worse", 4, 0.8),
    ]
    assert [one["name"] for one in front(rows)] == ["fast", "middle", "slow"]


def test_the_picture_has_every_front() -> None:
    svg = draw([[row("fast", 1, 0.6), row("slow", 2, 0.7)], [row("slow", 2, 0.75)]], 2.5)
    assert svg.count(">slow<") == 2
    assert "--max-ms 2.5" in svg


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["search", "--data", "phantom:6", *words])
    return main()


@pytest.mark.parametrize(
    ("words", "says"),
    {
        "device": (["--max-ms", "1", "--device", "usb:1"], "--device usb:1; allowed: local, ssh:user@host"),
        "ssh": (["--max-ms", "1", "--python", "x"], "--python with --device local; allowed: --device ssh:..."),
        "width": (["--max-ms", "1", "--widths", "8,wide"], "--widths 8,wide; allowed: whole numbers"),
        "size": (["--max-ms", "1", "--size", "50"], "an option is out of range"),
        "field": (["--max-ms", "1", "--set", "step=3"], "unknown field 'step'"),
        "latency": ([], "--max-ms"),
    }.values(),
)
def test_a_mistake_shows_before_anything_is_measured(
    words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        run(monkeypatch, *words, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_search_from_end_to_end_and_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "search"
    words = ["--size", "32", "--max-ms", "1000", "--runtimes", "onnxruntime:fp32", "--stems", "2", "--widths", "8,16"]
    words += ["--levels", "3,4", "--merges", "2", "--runs", "10", "--steps", "6", "--set", "batch=2"]
    words += ["--set", "threads=1", "--out", str(out)]
    assert run(monkeypatch, *words) == 0
    printed = capsys.readouterr().out
    assert "4 of 4 candidates within 1000 ms" in printed
    found = json.loads((out / "search.json").read_text())
    assert [len(rung) for rung in found["rungs"]] == [4, 2]
    assert [rung[0]["steps"] for rung in found["rungs"]] == [2, 6]
    assert found["winner"] == found["rungs"][-1][0]
    recipe = load_recipe(str(out / "winner.yaml"), {})
    assert recipe.size == 32
    assert yaml.safe_load((out / "winner.yaml").read_text())["model"] in printed
    assert len((out / "search.csv").read_text().splitlines()) == 5
    before = {path: path.stat().st_mtime_ns for path in out.rglob("validation.json")}
    assert run(monkeypatch, *words) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("validation.json")} == before
    with pytest.raises(RefusedError, match=r"no candidate within 1e-06 ms; s\dw"):
        run(monkeypatch, *[word.replace("1000", "0.000001") for word in words])


SMALL = ["--size", "32", "--max-ms", "1000", "--stems", "2", "--widths", "8", "--levels", "3,4", "--merges", "1"]
SMALL += ["--runs", "10", "--latency-only"]


def ranked(out: Path) -> list[dict[str, Any]]:
    """What was measured."""
    return list(json.loads((out / "latency.json").read_text())["rows"])


@pytest.mark.slow
class TestOnADevice:
    def test_over_ssh_a_device_that_goes_keeps_what_it_answered(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("convert.remote.BACKOFF", (0.1,))
        out = tmp_path / "search"
        kinds = "onnxruntime:fp32,litert:int8"
        with running(tmp_path / "device") as device:
            environment(device.home / "venv", device, np, ai_edge_litert)
            words = [*SMALL, "--runtimes", kinds, "--out", str(out), "--device", f"ssh:{device.host}"]
            words += [word for one in device.options for word in ("--ssh-option", one)]
            asked: list[str] = []

            def leave(place: Place, bundle: Bundle, *rest: Any, **named: Any) -> None:
                asked.append(bundle.contract.name)
                if len(asked) == 2:
                    device.stop()
                measure_at(place, bundle, *rest, **named)

            monkeypatch.setattr("benchmarks.latencies.measure_at", leave)
            with pytest.raises((Unreachable, Dropped)):
                run(monkeypatch, *words)
            device.start()
            assert run(monkeypatch, *words) == 0
        assert len(asked) == 3  # the first candidate was not asked again
        rows = ranked(out)
        assert {row["fastest"] for row in rows} == {"litert:int8"}
        assert all("onnxruntime" in row["refused"]["onnxruntime:fp32"] for row in rows)  # not installed there
        assert {row["device"]["kind"] for row in rows} == {"ssh"}
        assert "2 of 2 candidates within 1000 ms" in capsys.readouterr().out

    def test_a_phone_is_timed_by_litert_s_tool(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        phone = fake_adb.install(tmp_path / "fake")
        monkeypatch.setenv("PATH", f"{tmp_path / 'fake/bin'}:{os.environ['PATH']}")
        for module in ("adb", "benchmark_model"):
            monkeypatch.setattr(f"benchmarks.device.{module}.PLACE", str(phone / "tmp"))
        tool = tmp_path / "benchmark_model"
        tool.write_bytes(fake_adb.elf(183))
        out = tmp_path / "search"
        words = [*SMALL, "--runtimes", "litert:int8", "--out", str(out)]
        words += ["--device", "adb", "--benchmark-model", str(tool)]
        assert run(monkeypatch, *words) == 0
        fast, slow = ranked(out)
        assert fast["ms"] < slow["ms"]  # this phone's time is the file's size
        assert fast["device"]["model"] == "Fake Phone 1"
