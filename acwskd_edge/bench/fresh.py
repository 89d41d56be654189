"""`python -m acwskd_edge.bench.fresh MODULE FILE THREADS BATCH.npy`: cold start and memory of an artefact, as JSON.

A process of its own, because memory that another row once used never shows as free again, and because a runtime that
crashes must not take the others with it. Only the artefact's runtime is imported: no torch for ONNX Runtime, LiteRT or
OpenVINO. The file lies in the page cache: this is the start of a program, not of a machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from acwskd_edge.errors import AcwskdError, MissingDependency

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUNS = 3  # processes, of which the median counts
SECONDS = 15.0  # after which no further process is started
LIMIT = 600.0  # seconds after which a process is given up


class Crashed(AcwskdError):
    """A fresh process that could not run the artefact."""


def peak_mb() -> float | None:
    """Largest resident memory of this process so far, in 1,000,000 bytes.

    Of /proc, because ru_maxrss on Linux counts what the parent had before this process replaced it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        return int(found[1]) * 1024 / 1e6 if found else None
    import resource

    value = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return value / 1e6 if sys.platform == "darwin" else value * 1024 / 1e6


def main(module: str, path: str, threads: str, batch: str) -> dict[str, Any]:
    """Import the runtime's module, load, run twice; milliseconds and MB."""
    clock = time.perf_counter
    begun = clock()
    import importlib

    import numpy as np

    runtime = importlib.import_module(module)
    image = np.load(batch, allow_pickle=False)
    imported, bare = clock(), peak_mb()
    loaded = runtime.load(Path(path), int(threads))
    ready = clock()
    loaded(image)
    first = clock()
    loaded(image)
    whole = peak_mb()
    return {
        "import_ms": round((imported - begun) * 1e3, 2),
        "load_ms": round((ready - imported) * 1e3, 2),
        "first_ms": round((first - ready) * 1e3, 2),
        "cold_start_ms": round((first - imported) * 1e3, 2),
        "peak_mb": None if whole is None else round(whole, 2),
        "model_mb": None if whole is None or bare is None else round(whole - bare, 2),
    }


def measure(module: str, path: Path, threads: int, batch: NDArray[np.generic]) -> dict[str, Any]:
    """Medians over up to `RUNS` fresh processes.

    Args:
        module: of the runtime, with its `load`.
        batch: what the artefact takes.
    Returns:
        import_ms (the runtime's own modules), load_ms, first_ms (first inference), cold_start_ms (load and first
        inference), peak_mb (of the whole process), model_mb (above the process with the runtime imported), runs.
    Raises:
        MissingDependency: the artefact's runtime needs something that is absent.
        Crashed: the process ended with an error or a signal, or not at all.
    """
    import numpy as np

    found: list[dict[str, Any]] = []
    begun = time.monotonic()
    while len(found) < RUNS and (not found or time.monotonic() - begun < SECONDS):
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "batch.npy"
            np.save(image, batch, allow_pickle=False)
            found.append(one_process(module, path, threads, image))
    medians = {
        key: None if any(one[key] is None for one in found) else round(median(one[key] for one in found), 2)
        for key in found[0]
    }
    return {**medians, "runs": len(found)}


def one_process(module: str, path: Path, threads: int, image: Path) -> dict[str, Any]:
    """One fresh process; raises as `measure`."""
    words = [sys.executable, "-m", "acwskd_edge.bench.fresh", module, str(path.absolute()), str(threads), str(image)]
    places = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), *sys.path]))
    environment = os.environ | {"PYTHONPATH": places}
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=LIMIT)
    except subprocess.TimeoutExpired as error:
        raise Crashed(f"no answer within {LIMIT:.0f} s in a process of its own") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing was printed").splitlines()[-1]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise Crashed(f"a process of its own ended with {how} ({last.removeprefix('error: ')[:300]})")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if "missing" in answer:
        raise MissingDependency(answer["missing"], hint=answer["hint"])
    return answer


if __name__ == "__main__":
    try:
        print(json.dumps(main(*sys.argv[1:])))
    except MissingDependency as error:
        print(json.dumps({"missing": error.what, "hint": error.hint}))
    except AcwskdError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
