"""The ladder torch -> ONNX -> target: how far each step moves logits and mask, on the golden slices of the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.bundle import Golden
from acwskd_edge.contract import Contract
from acwskd_edge.evaluate import feed
from acwskd_edge.preprocess import mask_of
from acwskd_edge.runtimes import Runtime

MIDDLE = "onnx-fp32"  # the artefact that stands between the checkpoint and the others

Outputs = Sequence[NDArray[np.generic]]
"""What a runtime returned for each golden slice: logits (1, K, h, w), or masks (1, h, w) of io raw."""


def outputs_of(runtime: Runtime, golden: list[Golden], contract: Contract, io: str) -> list[NDArray[np.generic]]:
    """One forward pass per golden slice."""
    return [np.array(runtime(feed(one.pixels, contract, io))) for one in golden]


def step(before: Outputs, after: Outputs) -> dict[str, float | None]:
    """The largest change of any logit (None where one side has only masks) and the share of pixels of equal class."""
    pairs = list(zip(before, after, strict=True))
    logits = all(one.ndim == other.ndim == 4 for one, other in pairs)
    error = (
        max(float(np.abs(np.subtract(one, other, dtype=np.float64)).max()) for one, other in pairs) if logits else None
    )
    equal = np.mean([(classes(one) == classes(other)).mean() for one, other in pairs])
    finite = error is not None and np.isfinite(error)
    return {
        "max_logit_error": float(f"{error:.4g}") if finite else None,
        "argmax_agreement": round(float(equal), 6),
    }


def classes(output: NDArray[np.generic]) -> NDArray[np.generic]:
    """(1, h, w) of either kind of output."""
    return mask_of(output) if output.ndim == 4 else output


def ladder(golden: list[Golden], middle: Outputs | None, own: Outputs) -> dict[str, Any]:
    """Steps from the checkpoint to this row.

    Args:
        middle: outputs of the ONNX fp32 artefact; None where there is none, or the row is not made of it.
    Returns:
        slices; torch_onnx and onnx_target (None without `middle`); torch_target, the whole way.
    """
    reference = [one.logits for one in golden]
    return {
        "slices": len(golden),
        "torch_onnx": step(reference, middle) if middle else None,
        "onnx_target": step(middle, own) if middle else None,
        "torch_target": step(reference, own),
    }
