"""Which machine this is, as far as it says so itself: a Raspberry Pi, a Jetson and its power mode, an emulator."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from acwskd_edge.bench.conditions import read
from acwskd_edge.machine import machine

MODEL = Path("/proc/device-tree/model")
L4T = Path("/etc/nv_tegra_release")
LOADER = Path("/proc/thread-self/exe")  # qemu-user hides behind /proc/self, not behind this one
SECONDS = 10.0  # for a tool to answer


def board() -> dict[str, Any]:
    """What `machine` says, and:

    Returns:
        model (of the board's device tree), l4t, power_mode (Jetson), emulated (for instance qemu-aarch64); null where
        the machine does not say.
    """
    model, release = read(MODEL), read(L4T)
    return {
        **machine(),
        "model": model.rstrip("\0") if model else None,
        "l4t": release.partition("\n")[0].lstrip("# ") if release else None,
        "power_mode": first(r"Power Mode:\s*(\S+)", says("nvpmodel", "-q")),
        "emulated": emulator(),
    }


def emulator(loader: Path = LOADER) -> str | None:
    """The emulator that runs this process, None on a real processor. Emulation proves answers, never speed."""
    try:
        name = loader.readlink().name
    except OSError:
        return None
    return name.removesuffix("-static") if name.startswith("qemu-") else None


def tegrastats() -> str | None:
    """One line of NVIDIA's tegrastats: memory, clocks, temperatures and power of a Jetson; None elsewhere."""
    found = shutil.which("tegrastats")
    if not found:
        return None
    with subprocess.Popen([found, "--interval", "200"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tool:
        assert tool.stdout
        line = tool.stdout.readline()
        tool.kill()
    return line.decode("utf-8", "replace").strip() or None


def says(*command: str) -> str:
    """What a tool prints; nothing where it is absent or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def first(pattern: str, text: str) -> str | None:
    """The first group of the first match."""
    found = re.search(pattern, text)
    return found[1] if found else None
