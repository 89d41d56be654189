from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acwskd_edge.bench import conditions
from acwskd_edge.bench.conditions import choose_cores, pinned, processor_time, snapshot, temperatures, usage, watched


def test_cores_are_physical_ones_first_and_from_the_high_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "CPUS", tmp_path)
    for core in range(4):  # 0 and 2, 1 and 3 share a physical core
        folder = tmp_path / f"cpu{core}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{core % 2},{core % 2 + 2}\n")
    assert choose_cores({0, 1, 2, 3}, 1) == {3}
    assert choose_cores({0, 1, 2, 3}, 2) == {3, 2}
    assert choose_cores({1, 2, 3}, 3) == {1, 2, 3}
    assert choose_cores({0, 1}, 8) == {0, 1}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot hold a process to a core")
def test_a_process_is_held_and_let_go() -> None:
    before = os.sched_getaffinity(0)
    with pinned(1) as cores:
        assert cores is not None
        assert os.sched_getaffinity(0) == set(cores)
        assert len(cores) == 1
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_a_run_finds_the_memory_that_the_run_before_freed() -> None:
    code = """
import resource
from acwskd_edge.bench.conditions import keep_freed_memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        b"x" * 50_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = [new_pages() for _ in range(3)]
keep_freed_memory()
kept = [new_pages() for _ in range(3)]
assert min(given_back) > 10_000 > 100 > max(kept[1:]), (given_back, kept)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_affinity_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with pinned(1) as cores:
        assert cores is None


def test_clock_governor_and_temperature_are_read_where_they_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "CPUS", tmp_path)
    monkeypatch.setattr(conditions, "THERMAL", tmp_path)
    (tmp_path / "cpu0/cpufreq").mkdir(parents=True)
    (tmp_path / "cpu0/cpufreq/scaling_cur_freq").write_text("1800000\n")
    (tmp_path / "cpu0/cpufreq/scaling_governor").write_text("performance\n")
    (tmp_path / "thermal_zone0").mkdir()
    (tmp_path / "thermal_zone0/temp").write_text("48500\n")
    (tmp_path / "thermal_zone0/type").write_text("CPU-therm\n")
    found = snapshot([0])
    assert found["mhz"] == [1800]
    assert found["governor"] == "performance"
    assert found["celsius"] == {"CPU-therm 0": 48.5}
    assert found["throttled"] is None


def test_what_is_not_shown_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CPUS", "THERMAL", "STAT", "CPUINFO"):
        monkeypatch.setattr(conditions, name, tmp_path / "absent")
    found = snapshot([0])
    assert found["mhz"] == [None]
    assert found["governor"] is None
    assert temperatures() == {}
    assert processor_time() is None
    assert usage(None, None, 0.0) == {"others": None, "stolen": None}


def test_time_of_others_is_what_is_left() -> None:
    before = [0.0] * 8
    after = [50.0, 0.0, 10.0, 20.0, 0.0, 0.0, 0.0, 20.0]  # user, nice, system, idle, iowait, irq, softirq, steal
    assert usage(before, after, own=40.0) == {"others": 0.2, "stolen": 0.2}


def test_watching_fills_in_what_happened() -> None:
    with watched(None) as facts:
        time.sleep(0.05)
    assert facts["seconds"] >= 0
    assert set(facts) == {"cores", "before", "after", "seconds", "others", "stolen"}
