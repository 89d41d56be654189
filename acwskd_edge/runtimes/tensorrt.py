"""TensorRT engines, on the very device that built them: pinned buffers, one stream, the computation as a CUDA graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.errors import AcwskdError, MissingDependency, RefusedError, UsageError
from acwskd_edge.runtimes import trt_common as common

REBUILD = "python -m convert RUN --target jetson, or the kit's python3 build.py, on this machine"
ERRORS: dict[int, type[AcwskdError]] = {
    common.NO_TENSORRT: MissingDependency,
    common.NO_SPACE: RefusedError,
    common.MISMATCH: RefusedError,
}


class TensorRtRuntime:
    """One engine; call it with (1, C, h, w), it casts to the engine's own input type."""

    def __init__(self, engine: common.Engine, path: Path) -> None:
        self.engine, self.path = engine, path
        self.shape = engine.host_in.shape

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """(1, C, h, w) -> float32 logits (1, K, h, w), or uint8 mask (1, h, w) from a raw artefact.

        Raises:
            UsageError: the batch has another shape than the engine.
        """
        if batch.shape != self.shape:
            raise UsageError(f"batch of shape {batch.shape} for {self.path}", allowed=str(self.shape))
        return self.engine(batch)


def load(path: Path, threads: int) -> TensorRtRuntime:
    """Load an engine that was built on this machine; `threads` means nothing on a GPU.

    Raises:
        MissingDependency: no TensorRT, CUDA or GPU here.
        RefusedError: the engine was built on another machine or by another TensorRT, or no memory is left for it.
        UsageError: a file that is no engine of ours.
    """
    recorded = common.fingerprint_of(path)
    try:
        return TensorRtRuntime(common.load_engine(path, REBUILD, bool(recorded.get("rtx"))), path)
    except common.Trouble as trouble:
        raise ERRORS.get(trouble.code, UsageError)(trouble.what, hint=trouble.hint) from trouble
