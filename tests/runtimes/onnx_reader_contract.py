"""What every runtime that reads ONNX artefacts does; each has a subclass of a few lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from acwskd_edge import runtimes
from acwskd_edge.errors import UsageError

ROOT = Path(__file__).parents[2]


def save(path: Path, kind: int = TensorProto.FLOAT, shape: tuple[int | str, ...] = (1, 2, 4, 4)) -> Path:
    """A graph that casts its input to float32 and halves it."""
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["values", "half"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "halve",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        [helper.make_tensor("half", TensorProto.FLOAT, (), [0.5])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


class OnnxReaderContract:
    """The suite."""

    runtime: str

    @pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT16])
    @pytest.mark.parametrize("threads", [1, 2])
    def test_casts_pixels_to_the_graphs_dtype(self, tmp_path: Path, kind: int, threads: int) -> None:
        run = runtimes.load(self.runtime, save(tmp_path / "m.onnx", kind), threads)
        batch = np.arange(32, dtype=np.int16).reshape(1, 2, 4, 4)
        output = run(batch)
        assert output.dtype == np.float32
        np.testing.assert_array_equal(output, batch / 2)

    def test_an_answer_is_not_overwritten_by_the_next(self, tmp_path: Path) -> None:
        run = runtimes.load(self.runtime, save(tmp_path / "m.onnx"))
        first = run(np.ones((1, 2, 4, 4), np.float32))
        run(np.zeros((1, 2, 4, 4), np.float32))
        np.testing.assert_array_equal(first, np.full((1, 2, 4, 4), 0.5))

    @pytest.mark.parametrize("content", [b"", b"not a protobuf", None])
    def test_missing_or_damaged_file_is_one_line(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "m.onnx"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UsageError, match=r"m\.onnx") as caught:
            runtimes.load(self.runtime, path)
        assert "\n" not in str(caught.value)

    def test_truncated_file(self, tmp_path: Path) -> None:
        path = save(tmp_path / "m.onnx")
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(UsageError, match="cannot be loaded"):
            runtimes.load(self.runtime, path)

    def test_an_input_of_open_shape_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="static shape"):
            runtimes.load(self.runtime, save(tmp_path / "m.onnx", shape=("n", 2, 4, 4)))

    def test_another_shape_is_refused(self, tmp_path: Path) -> None:
        run = runtimes.load(self.runtime, save(tmp_path / "m.onnx"))
        with pytest.raises(UsageError, match=r"\(1, 2, 4, 5\).*allowed: \(1, 2, 4, 4\)"):
            run(np.zeros((1, 2, 4, 5), np.float32))

    def test_importing_brings_no_torch(self) -> None:
        code = f"import sys, {runtimes.RUNTIMES[self.runtime].module}; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
