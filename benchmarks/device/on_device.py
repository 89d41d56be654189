"""Runs on a device as bench.py, beside acwskd_edge.zip, bundle.zip and job.json; needs numpy and a runtime there.

Lines for people, `result {json}` after every step, `error: ...` at most once. What it measured is in result.json, and
a second start continues there. Exit codes: 0 measured, 3 refused, 4 something is not installed, 5 anything else.
"""

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
ABSENT, WRONG = 4, 5
LIBRARY, BUNDLE, RESULT = HERE / "acwskd_edge.zip", HERE / "bundle", HERE / "result.json"
LAUNCHER = HERE / "runtime" / "python"  # of benchmarks.device.arm64, if that is what runs this


def stop(code: int, line: str) -> NoReturn:
    """One line, then the end."""
    print("error: " + line, flush=True)
    sys.exit(code)


def prepare(threads: int) -> None:
    """Refuse an interpreter that cannot, before anything of ours is imported."""
    if sys.version_info < (3, 10):  # noqa: UP036 - a device may be older than the library allows
        found = ".".join(str(one) for one in sys.version_info[:2])
        stop(ABSENT, f"{sys.executable} is Python {found}, 3.10 is needed; next: --python PATH_THERE")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if LAUNCHER.exists():
        sys.executable = str(LAUNCHER)
    sys.path.insert(0, str(LIBRARY))
    try:
        import numpy  # noqa: F401
    except ImportError as error:
        what = f"{sys.executable} cannot import numpy ({error})"
        pip = f"{sys.executable} -m pip install numpy ai-edge-litert"
        stop(ABSENT, f"{what}; next: there: {pip}, or --python PATH_THERE")


def unpack() -> None:
    """The bundle, anew."""
    shutil.rmtree(str(BUNDLE), ignore_errors=True)
    with zipfile.ZipFile(str(BUNDLE) + ".zip") as content:
        content.extractall(str(BUNDLE))


def main() -> None:
    """Measure what job.json asks for."""
    job = json.loads((HERE / "job.json").read_text(encoding="utf-8"))
    prepare(job["threads"])

    from acwskd_edge.bench.document import load
    from acwskd_edge.bench.measure import Settings, measure
    from acwskd_edge.bundle import open_bundle
    from acwskd_edge.errors import AcwskdError, MissingDependency, RefusedError, UsageError
    from acwskd_edge.files import write_json

    def save(document: "dict[str, Any]") -> None:
        write_json(RESULT, document)
        print("result " + json.dumps(document), flush=True)

    settings = Settings(job["runs"], job["threads"], tuple(job["artefacts"]))
    try:
        try:
            found = load(RESULT)
        except UsageError:  # half of another release's
            found = None
        try:
            bundle = open_bundle(BUNDLE)
        except AcwskdError:
            unpack()
            bundle = open_bundle(BUNDLE)
        measure(bundle, settings, save, found, lambda line: print(line, flush=True))
    except MissingDependency as error:
        stop(ABSENT, str(error))
    except RefusedError as error:
        stop(error.exit_code, str(error))
    except AcwskdError as error:
        stop(WRONG, str(error))


if __name__ == "__main__":
    main()
