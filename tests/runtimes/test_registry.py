from __future__ import annotations

import sys
from pathlib import Path

import pytest

from acwskd_edge import runtimes
from acwskd_edge.errors import MissingDependency, UsageError


def test_an_unknown_runtime_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="allowed: torch, torch-compile, onnxruntime, litert, openvino"):
        runtimes.load("ncnn", "x")


@pytest.mark.parametrize(
    ("name", "package", "command"),
    [
        ("onnxruntime", "onnxruntime", "pip install onnxruntime"),
        ("coreml-program", "coremltools", "pip install coremltools torch"),
        ("torch", "torch", "pip install torch"),
    ],
)
def test_a_missing_package_is_one_line_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, package: str, command: str
) -> None:
    monkeypatch.delitem(sys.modules, runtimes.RUNTIMES[name].module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=f"next: {command}"):
        runtimes.load(name, tmp_path / "model")
