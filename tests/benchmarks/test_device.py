"""`python -m benchmarks.device` here and over ssh: OpenSSH's real server on loopback (apt: openssh-server)."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np
import pytest
from documents import check_document
from numpy.typing import NDArray
from sshd import Sshd, environment, running

import convert.remote as remote
from acwskd_edge.bench.document import failed, timed
from acwskd_edge.bench.measure import Settings, measure
from acwskd_edge.bundle import Bundle, open_bundle, seal
from acwskd_edge.errors import AcwskdError, MissingDependency, UsageError
from acwskd_edge.runtimes.litert import LiteRtRuntime
from benchmarks.device import on_device
from benchmarks.device.__main__ import main
from benchmarks.device.over_ssh import measure_over_ssh
from benchmarks.device.payload import Payload, pack
from convert.ssh import Device, Dropped, Unreachable

SHIPPED = Path(__file__).parents[2] / "web_demo/bundle"
FEW = Settings(runs=10, artefacts=("tflite-fp32", "tflite-int8"))
Document = dict[str, Any]


@pytest.fixture
def bundle() -> Bundle:
    return open_bundle(SHIPPED)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BACKOFF", (0.1, 0.2, 0.4))
    monkeypatch.setattr("acwskd_edge.bench.fresh.RUNS", 1)


def is_measured(document: Document) -> bool:
    """All rows right and timed, as the schema says."""
    check_document(document)
    rows = document["rows"]
    return (
        document["complete"]
        and document["preprocessing"]["state"] == "ok"
        and [row["id"] for row in rows] == document["artefacts"]
        and all(row["state"] == "ok" and row["fresh"]["peak_mb"] > 1 for row in rows)
        and all(len(row[part]["samples_ms"]) >= 10 for row in rows for part in ("model", "end_to_end"))
    )


class TestHere:
    def test_golden_vectors_then_times(self, bundle: Bundle) -> None:
        seen: list[Document] = []
        document = measure(bundle, FEW, lambda one: seen.append(json.loads(json.dumps(one))), tell=lambda _: None)
        assert is_measured(document)
        assert [sum(row["state"] is not None for row in one["rows"]) for one in seen] == [1, 2, 2, 2]
        fp32, int8 = document["rows"]
        assert fp32["times_fp32"] is None
        assert int8["times_fp32"]["ratio"] > 0
        latency = int8["model"]["latency"]
        assert latency["min_ms"] <= latency["median_ms"] <= latency["p90_ms"] <= latency["p99_ms"]
        assert latency["median_ci95_ms"][0] <= latency["median_ms"] <= latency["median_ci95_ms"][1]
        whole = int8["end_to_end"]["latency"]["median_ms"]
        assert whole > latency["median_ms"]
        assert document["device"]["emulated"] is None

    def test_a_runtime_that_fails_while_it_is_timed_costs_only_its_row(
        self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        honest, calls = LiteRtRuntime.__call__, Counter[str]()

        def fails_late(self: LiteRtRuntime, batch: NDArray[np.generic]) -> NDArray[np.generic]:
            calls[self.path.name] += 1
            if "int8" in self.path.name and calls[self.path.name] > 20:
                raise RuntimeError("the delegate gave up")
            return honest(self, batch)

        monkeypatch.setattr(LiteRtRuntime, "__call__", fails_late)
        document = measure(bundle, FEW, lambda _: None, tell=lambda _: None)
        check_document(document)
        assert document["complete"]
        assert failed(document)
        assert [row["state"] for row in document["rows"]] == ["ok", "FAILED"]
        assert document["rows"][1]["detail"] == "while it was timed: the delegate gave up"
        assert [artefact for artefact, *_ in timed(document)] == ["tflite-fp32"]

    def test_what_is_there_is_not_measured_again(self, bundle: Bundle) -> None:
        kept: list[Document] = []

        def stop_after_two(document: Document) -> None:
            kept.append(json.loads(json.dumps(document)))
            if len(kept) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            measure(bundle, FEW, stop_after_two, tell=lambda _: None)
        kept[1]["rows"][0]["fresh"]["peak_mb"] = 1234.5
        document = measure(bundle, FEW, lambda _: None, kept[1], lambda _: None)
        assert is_measured(document)
        assert document["rows"][0]["fresh"]["peak_mb"] == 1234.5
        told: list[str] = []
        assert measure(bundle, FEW, lambda _: None, document, told.append) is document
        assert told == ["up to date; --again measures anew"]

    def test_other_settings_are_another_measurement(self, bundle: Bundle) -> None:
        document = measure(bundle, Settings(10, artefacts=("tflite-int8",)), lambda _: None, tell=lambda _: None)
        assert [row["id"] for row in document["rows"]] == ["tflite-int8"]
        again = measure(bundle, Settings(11, artefacts=("tflite-int8",)), lambda _: None, document, lambda _: None)
        assert again["key"] != document["key"]

    def test_an_artefact_that_answers_wrong_is_not_timed(self, tmp_path: Path) -> None:
        wrong = Path(shutil.copytree(SHIPPED, tmp_path / "wrong"))
        golden = next((wrong / "golden").iterdir()) / "logits.npy"
        np.save(golden, np.load(golden)[:, ::-1])
        seal(wrong, list(open_bundle(SHIPPED).artefacts))
        document = measure(open_bundle(wrong), FEW, lambda _: None, tell=lambda _: None)
        assert {row["state"] for row in document["rows"]} == {"FAILED"}
        assert {row["not_timed"] for row in document["rows"]} == {"wrong here"}

    def test_an_artefact_of_another_kind_is_one_row_and_the_others_are_kept(self, tmp_path: Path) -> None:
        wrong = Path(shutil.copytree(SHIPPED, tmp_path / "wrong"))
        artefacts = open_bundle(SHIPPED).artefacts
        (wrong / artefacts[0].path).write_bytes(b"\x7fELF, not TFLite")
        seal(wrong, list(artefacts))
        document = measure(open_bundle(wrong), FEW, lambda _: None, tell=lambda _: None)
        assert [row["state"] for row in document["rows"]] == ["FAILED", "ok"]
        assert "cannot be loaded" in document["rows"][0]["detail"]
        assert document["rows"][1]["model"]["latency"]["n"] >= 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(tmp_path_factory.mktemp("device") / "a b;$(touch x)") as device:
        yield device


@pytest.fixture
def device(server: Sshd) -> Iterator[Sshd]:
    """The server with an empty home, its python3 in an environment that has numpy and LiteRT alone."""
    environment(server.home / "venv", server, np, ai_edge_litert)
    yield server
    shutil.rmtree(server.home)
    server.home.mkdir()


@pytest.fixture
def payload(bundle: Bundle, tmp_path: Path) -> Payload:
    return pack(bundle, FEW, tmp_path)


def on(device: Sshd, **options: object) -> Device:
    return Device(device.host, device.options, **options)  # type: ignore[arg-type]


def over_ssh(
    device: Sshd, payload: Payload, take: Callable[[Document], None], python: str | None = None, again: bool = False
) -> None:
    measure_over_ssh(on(device), payload, take, python, again)


class TestOverSsh:
    def test_numpy_and_litert_are_enough(self, device: Sshd, payload: Payload) -> None:
        seen: list[Document] = []
        over_ssh(device, payload, seen.append)
        assert is_measured(seen[-1])
        assert not list(device.root.rglob("x"))

    def test_a_second_time_sends_and_measures_nothing(
        self, device: Sshd, payload: Payload, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first: list[Document] = []
        over_ssh(device, payload, first.append)
        capsys.readouterr()
        second: list[Document] = []
        over_ssh(device, payload, second.append)
        assert second == [first[-1]]
        printed = capsys.readouterr().out
        assert "copying" not in printed
        assert "up to date" in printed
        third: list[Document] = []
        over_ssh(device, payload, third.append, again=True)
        assert third[-1]["rows"] != first[-1]["rows"]

    def test_a_connection_dropped_meanwhile_is_made_again(
        self, device: Sshd, payload: Payload, capsys: pytest.CaptureFixture[str]
    ) -> None:
        seen: list[Document] = []

        def take(document: Document) -> None:
            if not seen:
                device.drop()
            seen.append(document)

        over_ssh(device, payload, take)
        assert is_measured(seen[-1])
        assert " while bench.py ran; what is done is kept; next try in 0.1 s\n" in capsys.readouterr().out

    def test_a_device_that_stays_away_ends_the_command_rows_are_kept_and_the_next_continues(
        self, device: Sshd, payload: Payload
    ) -> None:
        seen: list[Document] = []

        def take(document: Document) -> None:
            seen.append(document)
            device.stop()

        with pytest.raises(
            (Dropped, Unreachable), match=r"while bench.py ran; what is done is kept, 3 new tries failed"
        ):
            over_ssh(device, payload, take)
        device.start()
        kept = seen[-1]
        assert kept["rows"][0]["state"] == "ok"
        assert not kept["complete"]
        seen.clear()
        over_ssh(device, payload, seen.append)
        assert is_measured(seen[-1])
        assert seen[-1]["rows"][0]["fresh"] == kept["rows"][0]["fresh"]

    def test_without_numpy_the_next_command_is_named(self, device: Sshd, payload: Payload) -> None:
        environment(device.home / "bare", device)
        with pytest.raises(MissingDependency, match=r"^127.0.0.1: .*cannot import numpy .*next: there: .* pip install"):
            over_ssh(device, payload, lambda _: None)

    def test_without_litert_the_rows_say_so(self, device: Sshd, payload: Payload) -> None:
        environment(device.home / "half", device, np)
        seen: list[Document] = []
        with pytest.raises(MissingDependency, match=r"^127.0.0.1: no runtime of this .* pip install ai-edge-litert"):
            over_ssh(device, payload, seen.append)
        assert {row["state"] for row in seen[-1]["rows"]} == {"skipped"}

    def test_another_interpreter_there(self, device: Sshd, payload: Payload) -> None:
        environment(device.home / "my env", device, np, ai_edge_litert)
        environment(device.home / "bare", device)
        seen: list[Document] = []
        over_ssh(device, payload, seen.append, python="~/my env/bin/python")
        assert is_measured(seen[-1])
        with pytest.raises(AcwskdError, match=r"^127.0.0.1: .*no-such-python: No such file"):
            over_ssh(device, payload, lambda _: None, python="/no-such-python")

    def test_an_unreachable_host_is_one_line(self, device: Sshd, payload: Payload) -> None:
        device.stop()
        try:
            with pytest.raises(Unreachable, match=r"^cannot reach 127.0.0.1 .*Connection refused"):
                over_ssh(device, payload, lambda _: None)
        finally:
            device.start()


class TestOnDevice:
    def test_is_killed_and_continues(self, payload: Payload, tmp_path: Path) -> None:
        """As when the power goes."""
        command = [sys.executable, "-u", str(tmp_path / "bench.py")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as child:
            assert child.stdout
            first = next(line for line in child.stdout if line.startswith("result "))
            child.kill()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        kept, last = json.loads(first[7:]), json.loads(done.stdout.splitlines()[-1][7:])
        assert is_measured(last)
        assert last["rows"][0]["fresh"] == kept["rows"][0]["fresh"]

    def test_a_spoilt_bundle_is_unpacked_anew(self, payload: Payload, tmp_path: Path) -> None:
        (tmp_path / "bundle").mkdir()
        (tmp_path / "bundle/manifest.json").write_text("{}")
        done = subprocess.run([sys.executable, str(tmp_path / "bench.py")], capture_output=True, text=True, check=True)
        assert is_measured(json.loads(done.stdout.splitlines()[-1][7:]))

    def test_an_old_python_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "version_info", (3, 8, 10))
        with pytest.raises(SystemExit) as caught:
            on_device.prepare(1)
        assert caught.value.code == on_device.ABSENT
        assert "is Python 3.8, 3.10 is needed; next: --python PATH_THERE" in capsys.readouterr().out

    def test_an_old_python_can_read_it(self) -> None:
        ast.parse(Path(on_device.__file__).read_text(), feature_version=(3, 8))

    def test_equal_payloads_are_equal_bytes(self, bundle: Bundle, payload: Payload, tmp_path: Path) -> None:
        (tmp_path / "again").mkdir()
        other = pack(bundle, FEW, tmp_path / "again")
        assert other.key == payload.key
        for name, path in payload.files.items():
            assert path.read_bytes() == other.files[name].read_bytes()


def run_main(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks.device", *words])
    monkeypatch.setattr("acwskd_edge.bench.options.limit_threads", lambda _: None)
    return main()


class TestCommand:
    def test_writes_the_document_and_prints_the_table(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "here.json"
        assert run_main(monkeypatch, str(SHIPPED), "--runs", "10", "--json", str(out)) == 0
        assert is_measured(json.loads(out.read_text()))
        assert json.loads(out.read_text())["command"].startswith("python -m benchmarks.device ")
        assert "artefact    golden    MB cold ms peak MB model ms" in capsys.readouterr().out

    def test_over_ssh_the_document_is_of_the_same_kind(
        self, monkeypatch: pytest.MonkeyPatch, device: Sshd, tmp_path: Path
    ) -> None:
        options = [word for one in device.options for word in ("--ssh-option", one)]
        here, there = tmp_path / "here.json", tmp_path / "there.json"
        words = [str(SHIPPED), "--runs", "10", "--artefact", "tflite-int8"]
        assert run_main(monkeypatch, *words, "--device", f"ssh:{device.host}", *options, "--json", str(there)) == 0
        assert run_main(monkeypatch, *words, "--json", str(here)) == 0
        one, other = json.loads(here.read_text()), json.loads(there.read_text())
        assert (one["device"]["kind"], other["device"]["kind"]) == ("local", "ssh")
        assert one.keys() == other.keys()
        assert one["rows"][0].keys() == other["rows"][0].keys()

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            ("--device usb", "--device usb; allowed: local, ssh:user@host, adb, adb:SERIAL"),
            ("--device ssh:", "--device ssh:; allowed: "),
            ("--device ssh:-oProxyCommand=x", "--device ssh: '-oProxyCommand=x'; allowed: "),
            ("--runs 3", "--runs 3; allowed: 10 to 2000"),
            ("--threads 0", "--threads 0; allowed: 1 or more"),
            ("--python x", "--python with --device local; allowed: --device ssh:..."),
            ("--artefact trt-fp16", "web_demo/bundle has no artefact 'trt-fp16'; allowed: tflite-fp32, "),
            ("--device adb", "a phone has no Python of ours; allowed: --benchmark-model FILE"),
        ],
    )
    def test_a_command_line_that_is_wrong_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, line: str
    ) -> None:
        with pytest.raises(UsageError) as caught:
            run_main(monkeypatch, str(SHIPPED), "--json", str(tmp_path / "x/out.json"), *words.split())
        assert line in str(caught.value)
        assert not (tmp_path / "x").exists()

    def test_a_file_that_is_something_else_is_kept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "thesis.json").write_text("{}")
        with pytest.raises(UsageError, match="is no document of bench"):
            run_main(monkeypatch, str(SHIPPED), "--json", str(tmp_path / "thesis.json"))
        assert (tmp_path / "thesis.json").read_text() == "{}"
