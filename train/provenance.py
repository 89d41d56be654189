"""Which code made a run, and with what."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acwskd_edge import __version__
from acwskd_edge.files import write_json
from acwskd_edge.machine import machine, versions

if TYPE_CHECKING:
    from train.engine import Engine

ENVIRONMENT = "environment.json"  # in a run folder
PACKAGES = ("torch", "numpy", "opencv-python-headless", "safetensors", "lightning-fabric", "nibabel", "h5py")


def commit() -> tuple[str, bool] | None:
    """The checkout's commit (40 hex digits) and whether tracked files differ from it; None outside a checkout.

    Results do not count: a sweep rewrites them while it trains.
    """
    code = ("--", ":(top)", ":(top,exclude)benchmarks/results")
    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no", *code))
    except (OSError, subprocess.SubprocessError):
        return None


def git(*words: str) -> str:
    """What git says about this checkout.

    Raises:
        OSError, subprocess.SubprocessError: no git, or no checkout.
    """
    done = subprocess.run(
        ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def code_version() -> str:
    """`<version>+g<commit>`, with `.dirty` if files differ from it; the bare version outside a checkout."""
    found = commit()
    return f"{__version__}+g{found[0][:7]}{'.dirty' if found[1] else ''}" if found else __version__


def environment(engine: Engine, split: str) -> dict[str, Any]:
    """What a run was computed with: code, packages, machine, devices, threads, and the hash of its split; no names."""
    import torch

    found = commit()
    return {
        "code": code_version(),
        "commit": found[0] if found else None,
        "dirty": found[1] if found else None,
        **machine(),
        "device": engine.name,
        "processes": engine.processes,
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "packages": versions(tuple(("", name) for name in PACKAGES)),
        "split_sha256": split,
    }


def record_environment(out: Path, now: dict[str, Any], step: int) -> None:
    """Write environment.json; what a run that goes on at `step` was computed with before stays as `earlier`."""
    path, earlier = out / ENVIRONMENT, []
    if step and path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        earlier = before.pop("earlier", [])
        if before != now:
            earlier.append({"until_step": step, **before})
    write_json(path, {**now, "earlier": earlier} if earlier else now)


def devices_of(run: Path) -> list[str]:
    """What a run was computed on, in order, each once; empty for a run of before environments were recorded."""
    if not (run / ENVIRONMENT).exists():
        return []
    found = json.loads((run / ENVIRONMENT).read_text(encoding="utf-8"))
    return list(dict.fromkeys(one["device"] for one in [*found.get("earlier", []), found]))
