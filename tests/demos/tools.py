"""Tools that a machine may lack: looked for, fetched into a cache outside the tree, else a skip that says why.

With REQUIRE_MOBILE=1, as in .ci/run, what is missing fails.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parent.parent.parent
CACHE = Path(os.environ.get("ACWSKD_CACHE") or Path.home() / ".cache" / "acwskd-edge")


def missing(why: str) -> NoReturn:
    """Skip, or fail where everything must be there."""
    if os.environ.get("REQUIRE_MOBILE") == "1":
        pytest.fail(f"REQUIRE_MOBILE=1, but {why}", pytrace=False)
    pytest.skip(why)


def program(*names: str, package: str) -> str:
    """The path of the first of these programs that is installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    missing(f"{' or '.join(names)} is not installed: apt-get install {package}")


def debian(suite: str, *packages: str, arch: str = "amd64", dependencies: bool = False) -> Path:
    """Packages of any Debian suite, unpacked; see .ci/debian.py."""
    words = ["--arch", arch, *(["--with-dependencies"] if dependencies else [])]
    done = run([sys.executable, str(ROOT / ".ci/debian.py"), suite, *packages, *words], timeout=600)
    if done.returncode:
        missing(f"{', '.join(packages)} of {suite}: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the cache, made once and whole: `make` fills a new one, which then takes its name."""
    final = CACHE / name
    with alone(name.replace("/", "-")):
        if not final.is_dir():
            work = final.with_name(f".{final.name}.{os.getpid()}")
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            try:
                make(work)
                work.replace(final)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return final


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Held by one test worker at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def web_files() -> Path:
    """web_demo with its npm packages in place; of several test workers one fetches them and the others wait."""
    program("node", package="nodejs")
    program("npm", package="npm")
    with alone("npm"):
        done = run(["make", "-C", str(ROOT), "web_demo/vendor/files.json"], timeout=300)
    if done.returncode:
        missing(f"web_demo's packages cannot be installed: {done.stderr.strip()[-300:]}")
    return ROOT / "web_demo"


def run(command: list[str], timeout: float = 120, **options: object) -> subprocess.CompletedProcess[str]:
    """Run to the end, output as text; the caller looks at the exit code."""
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)  # type: ignore[call-overload,no-any-return]
