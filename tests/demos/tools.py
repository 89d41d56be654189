"""Tools that a machine may lack: looked for, fetched into a cache outside the tree, else a skip that says why.

With REQUIRE_MOBILE=1, as in .ci/run, what is missing fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
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
    done = run([sys.executable, str(ROOT / ".ci/debian.py"), suite, *packages, *words], timeout=300)
    if done.returncode:
        missing(f"{', '.join(packages)} of {suite}: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the cache, made once and whole: `make` fills a new one, which then takes its name."""
    final = CACHE / name
    if not final.is_dir():
        work = final.with_name(f".{final.name}.{os.getpid()}")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            make(work)
            if not final.is_dir():  # another test process may have been faster
                work.replace(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return final


def run(command: list[str], timeout: float = 120, **options: object) -> subprocess.CompletedProcess[str]:
    """Run to the end, output as text; the caller looks at the exit code."""
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)  # type: ignore[call-overload,no-any-return]
