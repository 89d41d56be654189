"""Which code made a run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from acwskd_edge import __version__


def code_version() -> str:
    """`<version>+g<commit>`, with `.dirty` if files differ from it; the bare version outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=.dirty", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+g{done.stdout.strip()}"
