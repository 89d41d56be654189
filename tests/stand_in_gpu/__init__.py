"""A GPU for tests where there is none: what is real is the kit, the library and the graph in ONNX Runtime."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def compiled(folder: Path) -> Path:
    """The stand-in for libcudart."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the stand-in of libcudart")
    library = folder / "libcudart.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, HERE / "cudart.c"], check=True)
    return library
