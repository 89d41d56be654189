from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from acwskd_edge import runtimes
from acwskd_edge.errors import MissingDependency, UsageError
from acwskd_edge.runtimes import litert


class FakeInterpreter:
    """Stands for the interpreter where a real file would take a converter: copies its input to its output."""

    def __init__(self, dtype: type = np.float32, quantization: tuple[float, int] = (0.0, 0), rank: int = 4) -> None:
        self.detail = {"index": 0, "shape": np.array([1, 2, 3, 4]), "dtype": dtype, "quantization": quantization}
        self.rank = rank

    def get_input_details(self) -> list[dict[str, Any]]:
        return [self.detail]

    get_output_details = get_input_details

    def set_tensor(self, index: int, value: NDArray[np.generic]) -> None:
        assert value.dtype == self.detail["dtype"]
        self.value = value

    def invoke(self) -> None:
        pass

    def get_tensor(self, index: int) -> NDArray[np.generic]:
        return self.value if self.rank == 4 else self.value[..., 0]


def test_callers_see_channels_first() -> None:
    run = litert.LiteRtRuntime(FakeInterpreter(), Path("m.tflite"))
    batch = np.arange(24, dtype=np.int16).reshape(1, 4, 2, 3)
    output = run(batch)
    assert output.dtype == np.float32
    np.testing.assert_array_equal(output, batch)


def test_a_mask_comes_out_as_it_is() -> None:
    run = litert.LiteRtRuntime(FakeInterpreter(np.uint8, rank=3), Path("m.tflite"))
    batch = np.arange(24, dtype=np.uint8).reshape(1, 4, 2, 3)
    output = run(batch)
    assert output.dtype == np.uint8
    np.testing.assert_array_equal(output, batch[:, 0])


def test_quantised_input_and_output_are_float_outside() -> None:
    run = litert.LiteRtRuntime(FakeInterpreter(np.int8, (0.25, -3)), Path("m.tflite"))
    batch = np.linspace(-20, 20, 24, dtype=np.float32).reshape(1, 4, 2, 3)
    output = run(batch)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, batch, atol=0.125)


def test_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match=r"allowed: \(1, 4, 2, 3\)"):
        litert.LiteRtRuntime(FakeInterpreter(), Path("m.tflite"))(np.zeros((1, 2, 3, 4), np.float32))


@pytest.mark.parametrize("content", [b"", b"not a flatbuffer", None])
def test_missing_or_damaged_file_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"m\.tflite") as caught:
        runtimes.load("litert", path)
    assert "\n" not in str(caught.value)


def test_the_old_package_serves_where_it_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("tflite_runtime.interpreter")
    old.Interpreter = FakeInterpreter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", old)
    assert litert._interpreter_class() is FakeInterpreter
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(MissingDependency, match="pip install ai-edge-litert"):
        litert._interpreter_class()


def test_importing_brings_no_torch() -> None:
    code = "import sys, acwskd_edge.runtimes.litert; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
