"""A 64-bit ARM device that is none: qemu-user, and the Python with LiteRT that benchmarks.device.arm64 makes."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from demos.tools import ROOT, cached, debian, missing, run

from acwskd_edge.errors import MissingDependency
from benchmarks.device import arm64

CPUS = {"cortex-a53": "0xd03", "cortex-a76": "0xd0b"}  # without and with dot products; part numbers of /proc/cpuinfo
# qemu 7.2 shows the host's own /proc/cpuinfo, on which LiteRT's allocate_tensors crashes.
CPUINFO = """processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part}
CPU revision\t: 4
"""
PLAIN = CPUINFO.replace(" atomics fphp asimdhp", "").replace(" asimdrdm asimddp", "")


@dataclass(frozen=True)
class Arm64:
    """One emulated processor."""

    cpu: str
    qemu: Path
    runtime: Path
    prefix: Path  # where qemu looks for absolute paths first: /proc/cpuinfo

    @property
    def command(self) -> list[str]:
        """An ARM64 Python's command line, without its arguments."""
        return [str(self.qemu), "-cpu", self.cpu, "-L", str(self.prefix), *arm64.command(self.runtime)]

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the ARM64 Python, this checkout importable; fails the test when it fails."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONHOME": str(self.runtime),
            "PYTHONPATH": f"{self.runtime / 'site'}:{ROOT}:{ROOT / 'tests'}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = run([*self.command, *words], timeout=300, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


def emulated(cpu: str, folder: Path) -> Arm64:
    """A processor, with a /proc/cpuinfo of its own in `folder`; skips where Debian or PyPI are out of reach."""
    if found := shutil.which("qemu-aarch64-static"):
        qemu = Path(found)
    else:
        qemu = debian("bookworm", "qemu-user-static") / "usr/bin/qemu-aarch64-static"
    try:
        runtime = cached(f"arm64-{arm64.digest()}", lambda work: void(arm64.build(work)))
    except MissingDependency as error:
        missing(str(error))
    (folder / "proc").mkdir(parents=True)
    (folder / "proc/cpuinfo").write_text((PLAIN if cpu == "cortex-a53" else CPUINFO).format(part=CPUS[cpu]))
    return Arm64(cpu, qemu, runtime, folder)


def void(_: object) -> None:
    """For `cached`."""
