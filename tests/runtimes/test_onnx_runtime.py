from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto
from onnx_reader_contract import OnnxReaderContract, save

from acwskd_edge import runtimes
from acwskd_edge.errors import UsageError


class TestOnnxRuntime(OnnxReaderContract):
    runtime = "onnxruntime"

    def test_threads_are_exact_and_do_not_spin(self, tmp_path: Path) -> None:
        run = runtimes.load("onnxruntime", save(tmp_path / "m.onnx"), 2)
        options = run.session.get_session_options()  # type: ignore[attr-defined]
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
        assert run.session.get_providers() == ["CPUExecutionProvider"]  # type: ignore[attr-defined]

    def test_an_input_of_another_type_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="static shape"):
            runtimes.load("onnxruntime", save(tmp_path / "m.onnx", TensorProto.INT64))
