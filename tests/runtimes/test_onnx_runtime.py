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


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT16])
@pytest.mark.parametrize("threads", [1, 2])
def test_casts_pixels_to_the_graphs_dtype(tmp_path: Path, kind: int, threads: int) -> None:
    run = runtimes.load("onnxruntime", save(tmp_path / "m.onnx", kind), threads)
    batch = np.arange(32, dtype=np.int16).reshape(1, 2, 4, 4)
    output = run(batch)
    assert output.dtype == np.float32
    np.testing.assert_array_equal(output, batch / 2)


def test_threads_are_exact_and_do_not_spin(tmp_path: Path) -> None:
    run = runtimes.load("onnxruntime", save(tmp_path / "m.onnx"), 2)
    options = run.session.get_session_options()  # type: ignore[attr-defined]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert run.session.get_providers() == ["CPUExecutionProvider"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [b"", b"not a protobuf", None])
def test_missing_or_damaged_file_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"m\.onnx") as caught:
        runtimes.load("onnxruntime", path)
    assert "\n" not in str(caught.value)


def test_truncated_file(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UsageError, match="cannot be loaded"):
        runtimes.load("onnxruntime", path)


@pytest.mark.parametrize(("kind", "shape"), [(TensorProto.INT64, (1, 2, 4, 4)), (TensorProto.FLOAT, ("n", 2, 4, 4))])
def test_foreign_inputs_are_refused(tmp_path: Path, kind: int, shape: tuple[int | str, ...]) -> None:
    with pytest.raises(UsageError, match="static shape"):
        runtimes.load("onnxruntime", save(tmp_path / "m.onnx", kind, shape))


def test_another_shape_is_refused(tmp_path: Path) -> None:
    run = runtimes.load("onnxruntime", save(tmp_path / "m.onnx"))
    with pytest.raises(UsageError, match=r"\(1, 2, 4, 5\).*allowed: \(1, 2, 4, 4\)"):
        run(np.zeros((1, 2, 4, 5), np.float32))


@pytest.mark.parametrize("module", ["onnx", "litert"])
def test_importing_brings_no_torch(module: str) -> None:
    code = f"import sys, acwskd_edge.runtimes.{module}; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
