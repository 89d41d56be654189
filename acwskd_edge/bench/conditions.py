"""The machine while it measured: which cores, at which clock, how warm, and who else was using it.

Everything is read from where Linux shows it; what a machine does not show is null, never guessed.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CPUS = Path("/sys/devices/system/cpu")
THERMAL = Path("/sys/class/thermal")
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
STAT, CPUINFO = Path("/proc/stat"), Path("/proc/cpuinfo")


@contextmanager
def pinned(threads: int) -> Iterator[list[int] | None]:
    """Hold this process, and all threads it starts, to one core per thread; yields them, None where impossible.

    Cores come from the high end (interrupts tend to land on core 0), siblings of one physical core last.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    chosen = choose_cores(before, threads)
    try:
        os.sched_setaffinity(0, chosen)
        yield sorted(chosen)
    finally:
        os.sched_setaffinity(0, before)


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next run, for the rest of this process, instead of returning it.

    Whether it returns large buffers depends on the order of earlier allocations: the same network is then slower in
    one process than in another, because it touches new pages in every run. Elsewhere than on glibc nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def choose_cores(allowed: set[int], threads: int) -> set[int]:
    """`threads` of the allowed logical cores, on as many physical ones as there are."""
    seen: set[str] = set()
    first: list[int] = []
    second: list[int] = []
    for core in sorted(allowed, reverse=True):
        physical = read(CPUS / f"cpu{core}/topology/thread_siblings_list") or str(core)
        (second if physical in seen else first).append(core)
        seen.add(physical)
    return set([*first, *second][:threads])


def read(path: Path) -> str | None:
    """A small file's content; None where it is not readable."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def snapshot(cores: list[int] | None) -> dict[str, Any]:
    """Clock, governor, temperature, throttling and load, now.

    Args:
        cores: whose clocks are read; None: all.
    """
    watched = cores if cores is not None else list(range(os.cpu_count() or 1))
    return {
        "mhz": [clock_of(core) for core in watched],
        "governor": read(CPUS / f"cpu{watched[0]}/cpufreq/scaling_governor"),
        "celsius": temperatures(),
        "throttled": integer(read(CPUS / f"cpu{watched[0]}/thermal_throttle/core_throttle_count")),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def clock_of(core: int) -> int | None:
    """Current clock in MHz: of cpufreq or, in a virtual machine, what /proc/cpuinfo shows."""
    if kilohertz := integer(read(CPUS / f"cpu{core}/cpufreq/scaling_cur_freq")):
        return round(kilohertz / 1000)
    lines = [line for line in (read(CPUINFO) or "").splitlines() if line.startswith("cpu MHz")]
    return round(float(lines[core].partition(":")[2])) if core < len(lines) else None


def temperatures() -> dict[str, float]:
    """Thermal zone -> degrees Celsius; empty where the machine shows none."""
    found = {}
    for zone in sorted(THERMAL.glob("thermal_zone*")):
        value = integer(read(zone / "temp"))
        if value is not None:
            found[f"{read(zone / 'type') or 'zone'} {zone.name.removeprefix('thermal_zone')}"] = value / 1000
    return found


def integer(text: str | None) -> int | None:
    """A whole number, or None."""
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


@contextmanager
def watched(cores: list[int] | None) -> Iterator[dict[str, Any]]:
    """Fills the dictionary it yields: `before`, `after`, and what happened meanwhile.

    `others` is the share of the machine's processor time that other processes took, `stolen` what the hypervisor
    withheld; null where /proc/stat is absent.
    """
    facts: dict[str, Any] = {"cores": cores, "before": snapshot(cores)}
    started, counted, own = time.monotonic(), processor_time(), own_time()
    try:
        yield facts
    finally:
        facts["after"] = snapshot(cores)
        facts["seconds"] = round(time.monotonic() - started, 1)
        facts |= usage(counted, processor_time(), own_time() - own)


def own_time() -> float:
    """Processor seconds of this process and its finished children."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def processor_time() -> list[float] | None:
    """Seconds of all cores together since start: user, nice, system, idle, iowait, irq, softirq, steal."""
    line = (read(STAT) or "").partition("\n")[0].split()
    if len(line) < 9 or line[0] != "cpu":
        return None
    return [int(value) / os.sysconf("SC_CLK_TCK") for value in line[1:9]]


def usage(before: list[float] | None, after: list[float] | None, own: float) -> dict[str, float | None]:
    """Shares of the machine's processor time between two readings."""
    if before is None or after is None or sum(after) <= sum(before):
        return {"others": None, "stolen": None}
    spent = [late - early for early, late in zip(before, after, strict=True)]
    whole, idle, stolen = sum(spent), spent[3] + spent[4], spent[7]
    others = max(0.0, whole - idle - stolen - own)
    return {"others": round(others / whole, 4), "stolen": round(stolen / whole, 4)}
