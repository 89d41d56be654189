"""A phone that is none: Debian's real adb and adbd, an emulated ARM64 processor, our own ARM64 Python.

adbd gives everyone who reaches it a root shell, so it runs in a network namespace of its own, which needs root. Needs
Debian's archive for adb and adbd (trixie, run by their own loader) and what test_arm64.py needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demos.emulator import emulated
from demos.tools import debian, missing, program
from documents import check_document

from acwskd_edge.bench.measure import Settings
from acwskd_edge.bundle import open_bundle
from acwskd_edge.errors import UsageError
from benchmarks.device import adb as adb_module
from benchmarks.device import over_adb as over_adb_module
from benchmarks.device.adb import Adb
from benchmarks.device.over_adb import measure_over_adb
from benchmarks.device.payload import pack
from convert.ssh import Dropped, Unreachable

SERIAL = "127.0.0.1:5555"
LOOPBACK = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 0x49))"
Document = dict[str, Any]


class Phone:
    """adbd and an adb server in a network namespace; `adb` on PATH speaks to them from outside."""

    def __init__(self, root: Path) -> None:
        self.root, self.files = root, root / "data"
        packages = debian("trixie", "adbd", "adb", dependencies=True)
        library = packages / "usr/lib/x86_64-linux-gnu"
        tools = packages / "usr/lib/android-sdk/platform-tools"
        loader = [str(library / "ld-linux-x86-64.so.2"), "--library-path", f"{library}:{library / 'android'}"]
        self.adb, self.adbd = [*loader, str(tools / "adb")], [*loader, str(tools / "adbd")]
        self.processes: list[subprocess.Popen[bytes]] = []
        (root / "bin").mkdir(parents=True)
        self.write(root / "device/uname", "echo aarch64")  # as the emulated processor's own would say
        self.environment = {
            **os.environ,
            "HOME": str(root),
            "ANDROID_ADB_SERVER_PORT": "5999",
            "PATH": f"{root / 'device'}:{os.environ['PATH']}",
        }
        self.space = self.spawn("unshare", "-n", sys.executable, "-c", f"{LOOPBACK}; import time; time.sleep(600)")
        space, own = Path(f"/proc/{self.space.pid}/ns/net"), Path("/proc/self/ns/net")
        for _ in range(200):
            if space.readlink() != own.readlink():
                break
            time.sleep(0.05)
        assert space.readlink() != own.readlink(), "unshare made no namespace; adbd must not run in this machine's"
        self.inside = ["nsenter", f"--net={space}"]
        self.write(root / "bin/adb", f'exec {" ".join([*self.inside, *self.adb])} "$@"')

    @staticmethod
    def write(path: Path, line: str) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def spawn(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.root / "log").open("ab") as log:
            child = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment)
        self.processes.append(child)
        return child

    def start(self) -> None:
        """Listen and be connected."""
        self.spawn(*self.inside, *self.adb, "nodaemon", "server")
        self.plug_in()

    def plug_in(self) -> None:
        """Boot, and be connected."""
        self.daemon = self.spawn(*self.inside, *self.adbd)
        connect = [str(self.root / "bin/adb"), "connect", SERIAL]
        for _ in range(100):
            done = subprocess.run(
                connect, capture_output=True, text=True, check=False, env=self.environment, timeout=30
            )
            if "connected to" in done.stdout and SERIAL in Adb.listed() and Adb.listed()[SERIAL] == "device":
                return
            time.sleep(0.1)
        raise AssertionError((self.root / "log").read_text() + done.stdout + done.stderr)

    def pull_out(self) -> None:
        """As a cable would."""
        self.daemon.kill()
        self.daemon.wait()

    def stop(self) -> None:
        for one in reversed(self.processes):
            one.kill()
            one.wait()


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    program("unshare", package="util-linux")
    if subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        missing("a network namespace for adbd needs root and a kernel that allows it")
    one = Phone(tmp_path_factory.mktemp("phone") / "root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{one.root / 'bin'}:{os.environ['PATH']}")
        patch.setenv("HOME", str(one.root))
        patch.setenv("ANDROID_ADB_SERVER_PORT", "5999")
        patch.setattr(adb_module, "PLACE", str(one.files))
        patch.setattr(over_adb_module, "PLACE", str(one.files))
        try:
            one.start()
            yield one
        finally:
            one.stop()


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our ARM64 Python, its launcher through the emulator: this machine cannot run it."""
    folder = tmp_path_factory.mktemp("arm")
    arm = emulated("cortex-a76", folder / "prefix")
    made = folder / "runtime"
    shutil.copytree(arm.runtime, made, copy_function=os.link)
    (made / "python").unlink()
    exports = 'export PYTHONHOME="$here" PYTHONPATH="$here/site" PYTHONDONTWRITEBYTECODE=1'
    command = " ".join([*arm.command[:5], *(f'"{one}"' for one in arm.command[5:])]).replace(str(arm.runtime), "$here")
    Phone.write(made / "python", f'here=$(cd "${{0%/*}}" && pwd)\n{exports}\nexec {command} "$@"')
    return made


def test_shell_and_push(phone: Phone, tmp_path: Path) -> None:
    one = Adb(SERIAL)
    assert one.shell("echo a b; exit 3") == (3, "a b")
    (tmp_path / "file").write_bytes(b"\0\r\n" * 1000)
    one.push({"file.bin": tmp_path / "file"}, str(phone.files / "x"))
    assert (phone.files / "x/file.bin").read_bytes() == b"\0\r\n" * 1000
    facts = one.facts()
    assert (facts["architecture"], facts["model"], facts["emulated"]) == ("aarch64", None, None)
    assert one.conditions()["battery_celsius"] is None  # no getprop, no dumpsys: not a phone


def test_golden_vectors_are_right_on_the_other_side_and_a_pulled_phone_continues(
    phone: Phone, runtime: Path, web_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = pack(open_bundle(web_bundle), Settings(runs=10), tmp_path)
    seen: list[Document] = []

    def take(document: Document) -> None:
        seen.append(document)
        phone.pull_out()

    with pytest.raises(Dropped, match=rf"^{SERIAL} is gone \(.*; next: connect it; the same command continues"):
        measure_over_adb(Adb(SERIAL), payload, runtime, tmp_path, take, False)
    assert [row["state"] for row in seen[-1]["rows"]] == ["ok", None, None]
    with pytest.raises((Unreachable, Dropped)):
        Adb(SERIAL).shell("true")
    phone.plug_in()
    capsys.readouterr()
    measure_over_adb(Adb(SERIAL), payload, runtime, tmp_path, seen.append, False)
    last = seen[-1]
    check_document(last)
    assert last["complete"]
    assert last["preprocessing"]["state"] == "ok"
    assert [row["state"] for row in last["rows"]] == ["ok"] * 3
    assert {row["not_timed"] for row in last["rows"]} == {"emulated: answers only"}
    assert (last["device"]["architecture"], last["device"]["emulated"]) == ("aarch64", "qemu-aarch64")
    printed = capsys.readouterr().out
    assert "pushing" not in printed
    assert "tflite-fp32: ok" not in printed  # it was done before


def test_a_folder_that_is_no_runtime_is_one_line(phone: Phone, web_bundle: Path, tmp_path: Path) -> None:
    payload = pack(open_bundle(web_bundle), Settings(runs=10), tmp_path)
    with pytest.raises(UsageError, match=r"is no ARM64 Python; next: python -m benchmarks.device.arm64 "):
        measure_over_adb(Adb(SERIAL), payload, tmp_path, tmp_path, lambda _: None, False)


def test_a_phone_of_another_processor_is_one_line(
    phone: Phone, runtime: Path, web_bundle: Path, tmp_path: Path
) -> None:
    payload = pack(open_bundle(web_bundle), Settings(runs=10), tmp_path)
    phone.write(phone.root / "device/uname", "echo armv7l")
    try:
        with pytest.raises(UsageError, match=rf"^{SERIAL} is armv7l; allowed: aarch64"):
            measure_over_adb(Adb(SERIAL), payload, runtime, tmp_path, lambda _: None, False)
    finally:
        phone.write(phone.root / "device/uname", "echo aarch64")
