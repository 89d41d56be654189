"""A phone behind `adb`: shell, push, and what it says of itself. Every word that meets its shell is ours.

The user's adb, its keys and its server are used (ANDROID_ADB_SERVER_PORT names another server). A phone may lack any of
the tools asked here; what it does not say is null.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from acwskd_edge.bench.board import first
from acwskd_edge.errors import AcwskdError, MissingDependency, UsageError
from acwskd_edge.files import sha256
from convert.ssh import Dropped, Unreachable, printable

SERIAL = re.compile(r"[A-Za-z0-9][\w.:-]*", re.ASCII)
PLACE = "/data/local/tmp/acwskd-edge"
CODE = "acwskd-exit:"  # adb of old phones loses exit codes
PROPERTIES = (
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.soc.model",
    "ro.board.platform",
    "ro.build.version.release",
    "ro.kernel.qemu",
    "ro.boot.qemu",
)
CLOCKS = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq"
GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
GONE = re.compile(r"not found|offline|no devices|closed|protocol fault|reset|connect|timed? ?out", re.IGNORECASE)
OWN = re.compile(r"(adb|error)\b.{0,200}$")  # what adb itself says
PATIENCE = 600.0  # seconds for one command


class Adb:
    """One phone.

    Args:
        serial: as `adb devices` lists it; empty: the only one there is.
    Raises:
        MissingDependency: no adb here.
        UsageError: no such phone, none or several, or it does not trust this machine.
    """

    def __init__(self, serial: str) -> None:
        if serial and not SERIAL.fullmatch(serial):
            raise UsageError(f"--device adb:{serial}", allowed="a serial number as `adb devices` lists it")
        listed = self.listed()
        self.serial = serial or only(listed)
        state = listed.get(self.serial)
        if state is None:
            known = ", ".join(listed) or "none"
            raise Unreachable(
                f"no phone {self.serial} ({known} connected)", hint="adb devices, or adb connect HOST:PORT"
            )
        if state != "device":
            raise Unreachable(f"{self.serial} is {state}", hint="unlock it and accept this machine's key; adb devices")

    @staticmethod
    def listed() -> dict[str, str]:
        """Serial number -> state of every phone that adb knows."""
        done = call(["adb", "devices"], PATIENCE)
        if done.returncode:
            raise AcwskdError(f"adb devices failed ({last_line(done.stderr or done.stdout)})", hint="adb kill-server")
        pairs = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
        return {pair[0]: pair[1].strip() for pair in pairs}

    def adb(self, *words: str) -> str:
        """An adb command for this phone; returns what it prints."""
        done = call(["adb", "-s", self.serial, *words], PATIENCE)
        if done.returncode:
            self.fail(words[0], done.stderr or done.stdout)
        return done.stdout

    def shell(self, line: str) -> tuple[int, str]:
        """Run a line in the phone's shell; returns exit code and output, errors among it."""
        *output, code = self.lines(line)
        return int(code), "\n".join(output)

    def lines(self, line: str) -> Iterator[str]:
        """What a line in the phone's shell prints, as it comes; at last its exit code.

        Raises:
            Dropped: the phone is gone.
        """
        command = ["adb", "-s", self.serial, "shell", f"( {line} ) 2>&1; echo {CODE}$?"]
        last = ""
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ) as one:
            assert one.stdout
            try:
                for raw in one.stdout:
                    text = raw.decode("utf-8", "replace").rstrip("\r\n")
                    before, mark, code = text.rpartition(CODE)
                    if mark and code.isdigit():
                        if before:
                            yield before
                        yield code
                        return
                    last = text or last
                    yield text
            finally:
                one.kill()
        self.fail("shell", last if OWN.match(last) else "")  # without an exit code, the phone did not end it

    def fail(self, what: str, said: str) -> NoReturn:
        """Why adb ended."""
        line = printable(last_line(said))
        if not said or GONE.search(line):
            raise Dropped(
                f"{self.serial} is gone ({line or 'adb says nothing'})", hint="connect it; the same command continues"
            )
        raise AcwskdError(f"{self.serial}: adb {what} failed ({line})")

    def push(self, files: dict[str, Path], folder: str) -> None:
        """Send what is not there yet, into `folder`; names are ours.

        Raises:
            AcwskdError: what arrived is not what was sent, or the phone's disk is full.
        """
        self.shell(f"mkdir -p {folder}")
        have = self.sums(folder, files)
        for name, path in files.items():
            if have.get(name) != (wanted := sha256(path)):
                print(f"{self.serial}: pushing {name}, {path.stat().st_size / 1e6:.1f} MB", flush=True)
                self.adb("push", str(path), f"{folder}/{name}")
                if (found := self.sums(folder, {name: path}).get(name, wanted)) != wanted:
                    raise AcwskdError(f"{name} arrived on {self.serial} with another sha256 ({found[:12]})")

    def sums(self, folder: str, names: dict[str, Path]) -> dict[str, str]:
        """SHA-256 of those files that are there; nothing where the phone has no sha256sum."""
        _, output = self.shell(f"cd {folder} && sha256sum {' '.join(names)} 2>/dev/null")
        found = re.findall(r"^([0-9a-f]{64})\s+\*?(\S+)$", output, re.MULTILINE)
        return {name: digest for digest, name in found}

    def facts(self) -> dict[str, Any]:
        """The keys of `board.board`, from the phone's properties."""
        _, output = self.shell(f'for one in {" ".join(PROPERTIES)}; do echo "$one=$(getprop $one 2>/dev/null)"; done')
        said = dict(re.findall(r"^(ro\.\S+?)=(.+)$", output, re.MULTILINE))
        cores = self.shell("nproc")[1].strip()
        name = " ".join(said[key] for key in PROPERTIES[:2] if key in said)
        release = said.get("ro.build.version.release")
        return {
            "processor": said.get("ro.soc.model") or said.get("ro.board.platform"),
            "architecture": self.shell("uname -m")[1].strip(),
            "cores": int(cores) if cores.isdigit() else None,
            "system": f"Android {release}" if release else "Linux",
            "python": None,
            "model": name or None,
            "l4t": None,
            "power_mode": None,
            "emulated": "android-emulator" if "1" in (said.get("ro.kernel.qemu"), said.get("ro.boot.qemu")) else None,
        }

    def conditions(self) -> dict[str, Any]:
        """Battery temperature (degrees Celsius), thermal status (0 none to 6 shutdown), clocks and governor, now."""
        battery = first(r"temperature:\s*(\d+)", self.shell("dumpsys battery")[1])
        status = first(r"Thermal Status:\s*(\d+)", self.shell("dumpsys thermalservice")[1])
        clocks = self.shell(f"cat {CLOCKS}")[1].split()
        code, governor = self.shell(f"cat {GOVERNOR}")
        return {
            "battery_celsius": int(battery) / 10 if battery else None,
            "thermal_status": int(status) if status else None,
            "mhz": [round(int(one) / 1000) for one in clocks] if all(one.isdigit() for one in clocks) else [],
            "governor": governor.strip() if code == 0 else None,
        }


def only(listed: dict[str, str]) -> str:
    """The one phone there is.

    Raises:
        UsageError: none, or several.
    """
    if len(listed) != 1:
        raise UsageError(
            f"{len(listed)} phones are connected" if listed else "no phone is connected",
            allowed=", ".join(f"--device adb:{one}" for one in listed) or None,
            hint="adb devices" if listed else "connect one, switch USB debugging on, adb devices",
        )
    return next(iter(listed))


def call(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run adb to its end."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise MissingDependency("--device adb needs adb", hint="apt install adb") from error
    except subprocess.TimeoutExpired as error:
        raise Dropped(f"adb {command[-1]} does not end", hint="adb kill-server; the same command continues") from error


def last_line(text: str) -> str:
    """What a tool said last."""
    return (text.strip().splitlines() or [""])[-1]
