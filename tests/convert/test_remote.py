"""`--on user@device` against OpenSSH's real server on loopback: the way there, back, and what can happen between."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stand_in_gpu
from sshd import Sshd, running
from stand_in_kit import write_kit

import convert.remote as remote
from acwskd_edge.bundle import open_bundle
from acwskd_edge.errors import AcwskdError, GateError, MissingDependency, TamperedError, UsageError
from acwskd_edge.files import sha256
from convert import ssh_agent
from convert.__main__ import main
from convert.basis import Settings
from convert.pipeline import convert
from convert.remote import Built, build_on
from convert.ssh import Device, Dropped, Unreachable

STAGES = ["preflight", "build begins", "build", "run", "time"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """In a folder whose name would hurt a careless shell."""
    with running(tmp_path_factory.mktemp("device") / "a b;$(touch x)") as device:
        yield device


@pytest.fixture
def device(server: Sshd) -> Iterator[Sshd]:
    """The server with an empty home."""
    yield server
    shutil.rmtree(server.home)
    server.home.mkdir()


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return write_kit(tmp_path / "my run;$(touch x) 'q'" / "fp16-raw")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BACKOFF", (0.1, 0.2, 0.4))


def on(device: Sshd, **options: object) -> Device:
    return Device(device.host, device.options, again="python -m convert RUN --on it", **options)  # type: ignore[arg-type]


def done(device: Sshd) -> list[str]:
    """What the kit's scripts did on the device."""
    path = device.home / "done"
    return path.read_text().splitlines() if path.exists() else []


def work(device: Sshd) -> Path:
    return device.home / ".cache/acwskd-edge" / ("ab" * 32)


def until(true: Callable[[], object]) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("never happened")


def is_complete(built: Built) -> bool:
    names = {
        "preflight.json",
        "build.json",
        "run.json",
        "time_engine.json",
        built.engine.name,
        built.engine.name + ".json",
    }
    return built.passed and names == {one.name for one in built.folder.iterdir()}


def test_engine_and_measurements_come_back(
    device: Sshd, kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = build_on(on(device), kit, tmp_path / "back")
    assert is_complete(built)
    assert built.engine.read_bytes() == b"engine" * 1000
    assert built.results["time_engine"]["median_ms"] == 1.25
    assert done(device) == STAGES
    printed = capsys.readouterr().out
    assert "127.0.0.1: preflight\n  L4T 36.4.3 (stand-in), power mode 15W  [31m\n" in printed  # no escape codes
    assert "127.0.0.1: build\n  step 1 of 2\n  step 2 of 2\n" in printed
    assert not list(tmp_path.rglob("x")) + list(device.root.rglob("x")) + list(Path().glob("x"))  # no shell saw a name


def test_a_second_time_sends_and_builds_nothing(
    device: Sshd, kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_on(on(device), kit, tmp_path / "back")
    (work(device) / "model.onnx").write_bytes(b"spoilt")
    capsys.readouterr()
    assert is_complete(build_on(on(device), kit, tmp_path / "back"))
    printed = capsys.readouterr().out
    assert "copying 1 files, 0.0 MB, " in printed
    assert "build is finished" in printed
    assert done(device).count("build") == 1


def test_the_work_folder_goes_when_asked(device: Sshd, kit: Path, tmp_path: Path) -> None:
    assert is_complete(build_on(on(device, clean=True), kit, tmp_path / "back"))
    assert not work(device).exists()


def test_a_login_script_that_talks_does_no_harm(device: Sshd, kit: Path, tmp_path: Path) -> None:
    (device.home / ".bashrc").write_text("echo welcome to the lab\n")
    assert is_complete(build_on(on(device), kit, tmp_path / "back"))


def test_a_connection_dropped_while_building_is_made_again_and_the_build_goes_on(
    device: Sshd, kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (device.home / "hold").touch()
    found: list[Built] = []
    thread = threading.Thread(target=lambda: found.append(build_on(on(device), kit, tmp_path / "back")))
    thread.start()
    until(lambda: "build begins" in done(device))
    device.drop()
    until(device.sessions)
    (device.home / "hold").unlink()
    thread.join(60)
    assert is_complete(found[0])
    assert done(device) == STAGES  # one build: it outlived the connection
    printed = capsys.readouterr().out
    assert "the connection to 127.0.0.1 dropped (Connection to 127.0.0.1 closed by remote host." in printed
    assert " while build.py ran; what is done is kept; next try in 0.1 s\n" in printed
    assert printed.count("step 1 of 2") == printed.count("step 2 of 2") == 1


def test_a_connection_that_stays_away_ends_the_command_and_the_next_continues(
    device: Sshd, kit: Path, tmp_path: Path
) -> None:
    (tmp_path / "back").mkdir()
    (tmp_path / "back/before").touch()
    (device.home / "hold").touch()
    errors: list[Exception] = []

    def work_away() -> None:
        try:
            build_on(on(device), kit, tmp_path / "back")
        except Dropped as error:
            errors.append(error)

    thread = threading.Thread(target=work_away)
    thread.start()
    until(lambda: "build begins" in done(device))
    device.stop()
    thread.join(60)
    device.start()
    assert errors[0].exit_code == 1  # type: ignore[attr-defined]
    assert str(errors[0]).startswith("cannot reach 127.0.0.1 (")
    assert str(errors[0]).endswith(
        " while build.py ran; what is done is kept, 3 new tries failed; next: python -m convert RUN --on it (continues)"
    )
    assert [one.name for one in (tmp_path / "back").iterdir()] == ["before"]
    (device.home / "hold").unlink()
    assert is_complete(build_on(on(device), kit, tmp_path / "back"))
    assert done(device) == ["preflight", "build begins", "preflight", "build", "run", "time"] or done(device) == [
        "preflight", "build begins", "build", "preflight", "run", "time",
    ]  # fmt: skip


def test_a_connection_dropped_while_copying_sends_the_rest_later(
    device: Sshd, kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = remote.Connection.put
    dropped: list[str] = []

    def put(self: remote.Connection, path: Path, name: str, sent: Callable[[int], None]) -> None:
        if name == "model.onnx" and not dropped:
            dropped.append(name)
            self.request(do="put", name=name, size=10**6, sha256="")
            self.send(b"half")
            device.drop()
        honest(self, path, name, sent)

    monkeypatch.setattr(remote.Connection, "put", put)
    assert is_complete(build_on(on(device), kit, tmp_path / "back"))
    assert " while copying the kit; what is done is kept; next try in " in capsys.readouterr().out
    assert not list(work(device).rglob(".part-*"))


def refused(device: Device, kit: Path, into: Path, kind: type[AcwskdError]) -> str:
    """The one line; nothing came back."""
    with pytest.raises(kind) as caught:
        build_on(device, kit, into)
    assert "\n" not in str(caught.value)
    assert not into.exists()
    assert not list(into.parent.glob(".back*"))
    return str(caught.value)


def test_an_unreachable_host_is_said_at_once(device: Sshd, kit: Path, tmp_path: Path) -> None:
    device.stop()
    line = refused(on(device), kit, tmp_path / "back", Unreachable)
    device.start()
    assert line.startswith("cannot reach 127.0.0.1 (ssh: connect to host 127.0.0.1 port ")
    assert "Connection refused); next: ssh 127.0.0.1 must work without a question" in line
    unknown = Device("no-such-host.invalid", device.options)
    assert "Could not resolve hostname" in refused(unknown, kit, tmp_path / "back", Unreachable)


def test_another_host_key_is_refused(device: Sshd, kit: Path, tmp_path: Path) -> None:
    device.keygen("host")
    device.restart()
    line = refused(on(device), kit, tmp_path / "back", Unreachable)
    assert line == (
        "the host key of 127.0.0.1 is not the one that is known: another machine answers, or it was flashed anew; "
        "next: if you expect that: ssh-keygen -R its name, then ssh 127.0.0.1 once"
    )
    (device.root / "known").write_text("")
    line = refused(on(device), kit, tmp_path / "back", Unreachable)
    assert line == "the host key of 127.0.0.1 is not known; next: ssh 127.0.0.1 once, and compare its key"
    device.know()
    assert is_complete(build_on(on(device), kit, tmp_path / "back"))


def test_a_wrong_user_key_is_refused(device: Sshd, kit: Path, tmp_path: Path) -> None:
    authorized = (device.root / "authorized").read_text()
    (device.root / "authorized").write_text("")
    line = refused(on(device), kit, tmp_path / "back", Unreachable)
    (device.root / "authorized").write_text(authorized)
    assert line.startswith("127.0.0.1 refuses authentication (")
    assert "Permission denied (publickey)" in line
    assert line.endswith("next: ssh-copy-id 127.0.0.1")


def test_a_device_without_python3_is_named(device: Sshd, kit: Path, tmp_path: Path) -> None:
    path, device.environment["PATH"] = device.environment["PATH"], device.home
    device.restart()
    line = refused(on(device), kit, tmp_path / "back", MissingDependency)
    device.environment["PATH"] = path
    device.restart()
    assert line.startswith("python3 is missing on 127.0.0.1 (")
    assert line.endswith("next: there: sudo apt install python3")


@pytest.mark.parametrize(
    ("told", "kind", "line"),
    [
        (
            "no-tensorrt",
            MissingDependency,
            "TensorRT cannot be imported; next: sudo apt-get install python3-libnvinfer-dev",
        ),
        ("no-space", UsageError, "3 MB are free, 500 MB are needed; next: free space"),
        (
            "killed",
            AcwskdError,
            "build.py was killed, as the kernel does when memory runs out; next: free memory or add swap there",
        ),
    ],
)
def test_what_a_stage_says_is_the_error(
    device: Sshd, kit: Path, tmp_path: Path, told: str, kind: type[AcwskdError], line: str
) -> None:
    (device.home / told).touch()
    assert refused(on(device), kit, tmp_path / "back", kind) == f"127.0.0.1: {line}"
    (device.home / told).unlink()
    assert is_complete(build_on(on(device), kit, tmp_path / "back"))


def test_a_disk_that_is_full_is_said_and_the_next_try_continues(device: Sshd, kit: Path, tmp_path: Path) -> None:
    work(device).mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(work(device))]
    if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        (kit / "model.onnx").write_bytes(b"x" * 200_000)
        line = refused(on(device), kit, tmp_path / "back", UsageError)
        assert line.startswith("the disk of 127.0.0.1 is full (")
        assert line.endswith("No space left on device); next: free space there")
        assert not list(work(device).rglob(".part-*"))
        subprocess.run(["mount", "-o", "remount,size=1m", str(work(device))], check=True)
        write_kit(kit)
        assert is_complete(build_on(on(device), kit, tmp_path / "back"))
    finally:
        subprocess.run(["umount", str(work(device))], check=True)


def test_an_engine_that_fails_the_gate_comes_back_marked(device: Sshd, kit: Path, tmp_path: Path) -> None:
    (device.home / "gate-fails").touch()
    built = build_on(on(device), kit, tmp_path / "back")
    assert not built.passed
    assert built.engine.is_file()
    assert built.results["run"]["verdict"] == "rejected"
    assert "time" not in done(device)


def test_an_engine_with_another_hash_is_not_taken_and_built_anew(device: Sshd, kit: Path, tmp_path: Path) -> None:
    build_on(on(device), kit, tmp_path / "first")
    (work(device) / "model.engine").write_bytes(b"something else")
    line = refused(on(device), kit, tmp_path / "back", TamperedError)
    assert line == (
        "127.0.0.1: model.engine is not the one that was built there (its sha256 differs); "
        "next: python -m convert RUN --on it (builds anew)"
    )
    assert is_complete(build_on(on(device), kit, tmp_path / "back"))
    assert done(device).count("build") == 2


@pytest.mark.parametrize(
    "damage", ['{"engine": "mod', '{"engine": "../../.bashrc", "fingerprint": {"engine_sha256": ""}}', "[]"]
)
def test_a_build_json_that_lies_is_refused(device: Sshd, kit: Path, tmp_path: Path, damage: str) -> None:
    lie = f"from trt_common import *\nwrite('time_engine')\n(HERE / 'build.json').write_text({damage!r})\n"
    assert "build.json" in refused(
        on(device), write_kit(kit, time_engine=lie.encode()), tmp_path / "back", TamperedError
    )
    assert is_complete(build_on(on(device), write_kit(kit), tmp_path / "back"))


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=touch x",
        "",
        "a b",
        "a;touch x",
        "$(touch x)",
        "`x`",
        "me@-x",
        "me@a\nb",
        "a'b",
        "é",
        "a/b",
        "me@",
    ],
)
def test_a_host_that_could_be_anything_else_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match=r"^--on .*; allowed: \[user@\]host, "):
        Device(host)


@pytest.mark.parametrize(
    "host", ["orin", "nvidia@orin.local", "me.b-c@10.0.0.7", "ssh://me@orin:2222", "::1", "me@[fe80::1%eth0]"]
)
def test_hosts_as_ssh_takes_them(host: str) -> None:
    assert Device(host).command[-2] == host
    assert Device(host).command[-3] == "--"


@pytest.mark.parametrize("option", ["", "Port", "=22", "-v", "Port=22\nProxyCommand=touch x"])
def test_an_ssh_option_that_is_none_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=r"^--ssh-option .*; allowed: Name=value, "):
        Device("orin", (option,))


def test_the_agent_is_python_3_6_and_standard_library() -> None:
    source = Path(ssh_agent.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    imported = {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names
    assert source.isascii()


def test_kit_files_are_what_kit_json_says(device: Sshd, kit: Path, tmp_path: Path) -> None:
    (kit / "build.json").write_text("a local build's result")
    build_on(on(device), kit, tmp_path / "back")
    assert json.loads((tmp_path / "back/build.json").read_text())["key"] == "ab" * 32


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("real") / "run of 'mine'; $(touch x)"))


@pytest.mark.slow
class TestRealKit:
    """`convert --target jetson --on`, the kit's own scripts; TensorRT and CUDA alone are stand-ins."""

    @pytest.fixture
    def jetson(self, device: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
        """A device with a GPU that is none."""
        before = dict(device.environment)
        library = stand_in_gpu.compiled(tmp_path_factory.mktemp("cudart"))
        device.environment |= {"PYTHONPATH": stand_in_gpu.HERE / "python", "ACWSKD_CUDART": library}
        device.restart()
        yield device
        device.environment = before
        device.restart()

    @staticmethod
    def deliver(run: Path, device: Sshd, precision: str = "fp16") -> None:
        convert(run, Settings(["jetson"], [precision], ["raw"], on=on(device)))

    def test_an_engine_verified_on_the_device_is_in_the_bundle(self, run: Path, jetson: Sshd) -> None:
        self.deliver(run, jetson)
        bundle = open_bundle(run)
        engine = bundle.find("trt-fp16-raw")
        fingerprint = json.loads(bundle.path(engine).with_name(bundle.path(engine).name + ".json").read_text())
        assert fingerprint["engine_sha256"] == sha256(bundle.path(engine))
        assert fingerprint["compute_capability"] == "8.7"
        (kit,) = bundle.report["kits"]
        assert kit["state"] == "passed"
        assert kit["device"]["run"]["dice_change"]["mean"] > -0.01
        assert set(kit["device"]["time_engine"]["milliseconds"]) == {"copy_in", "compute", "copy_out", "call"}

    def test_nothing_is_lost_when_the_device_is_away_or_has_no_tensorrt(self, run: Path, jetson: Sshd) -> None:
        self.deliver(run, jetson)
        before = sha256(open_bundle(run).path(open_bundle(run).find("trt-fp16-raw")))
        del jetson.environment["PYTHONPATH"]
        jetson.restart()
        with pytest.raises(MissingDependency, match=r"^127.0.0.1: TensorRT cannot be imported .*; next: sudo apt-get "):
            self.deliver(run, jetson)
        jetson.stop()
        with pytest.raises(Unreachable, match=r"^cannot reach 127.0.0.1 "):
            self.deliver(run, jetson)
        jetson.start()
        bundle = open_bundle(run)
        assert sha256(bundle.path(bundle.find("trt-fp16-raw"))) == before
        assert (run / "jetson/fp16-raw.tar.gz").is_file()

    def test_an_engine_that_fails_the_gate_there_is_kept_outside(self, run: Path, jetson: Sshd) -> None:
        jetson.environment["FAKE_WRONG"] = 1
        jetson.restart()
        with pytest.raises(GateError, match=r"jetson-fp16-raw engine \(Dice of mean drops by .*; see .*rejected"):
            self.deliver(run, jetson)
        assert [one.id for one in open_bundle(run).artefacts] == ["jetson-fp16-raw"]
        assert [one.name for one in (run / "rejected").iterdir()] == ["trt-model.fp16.raw.engine.rejected"]
        del jetson.environment["FAKE_WRONG"]
        jetson.restart()
        shutil.rmtree(jetson.home / ".cache")
        self.deliver(run, jetson)
        assert not list((run / "rejected").iterdir())
        assert open_bundle(run).find("trt-fp16-raw")

    @pytest.mark.skipif(
        importlib.util.find_spec("tensorrt_rtx_bindings") is None, reason="TensorRT-RTX is not installed"
    )
    def test_nvidias_own_builder_runs_there_as_far_as_it_can_without_a_gpu(
        self, run: Path, device: Sshd, tmp_path: Path
    ) -> None:
        convert(run, Settings(["rtx"], ["fp16"], ["raw"]))
        with pytest.raises(MissingDependency, match=r"^127\.0\.0\.1: .*(CUDA|GPU)"):
            build_on(on(device), run / "rtx/fp16-raw", tmp_path / "back")
        built = sorted(one.name for one in (device.home / ".cache").rglob("*.engine"))
        assert built == ["model.SM86.engine", "model.SM89.engine"]
        assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--target onnx --on orin", "--on with target onnx; allowed: --target jetson"),
        ("--target jetson --clean-device", "--ssh-option or --clean-device without --on; next: --on user@device"),
        ("--target jetson --on=-oProxyCommand=x", "--on '-oProxyCommand=x'; allowed: [user@]host, "),
        ("--target jetson --on orin --ssh-option x", "--ssh-option 'x'; allowed: Name=value, "),
    ],
)
def test_a_command_line_that_is_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch, words: str, line: str) -> None:
    monkeypatch.setattr(sys, "argv", ["convert", "RUN", *words.split()])
    with pytest.raises(UsageError) as caught:
        main()
    assert str(caught.value).startswith(line)
