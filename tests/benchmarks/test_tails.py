from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import tails
from convert.export import argmax


@pytest.mark.parametrize("dim", [1, -1])
@pytest.mark.parametrize("name", sorted(set(tails.CANDIDATES) - {"top k"}))  # in PyTorch that takes any of equals
def test_candidates_give_the_shipped_mask_ties_included(name: str, dim: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 5, 16, 24).round()  # whole numbers: many ties
    logits = logits if dim == 1 else logits.permute(0, 2, 3, 1)
    assert (logits.amax(dim, keepdim=True) == logits).sum(dim).max() > 1
    mask = tails.CANDIDATES[name](logits, dim)
    assert mask.shape == (1, 16, 24)
    assert torch.equal(mask.to(torch.uint8), argmax(logits, dim))


def row(tail: str, low: float, **changes: object) -> dict[str, object]:
    speedup = {"ratio": low + 0.1, "ci95": [low, low + 0.2]}
    return {"runtime": "litert", "tail": tail, "dtype": "uint8", "agreement": 1.0, "speedup": speedup, **changes}


def test_only_exact_uint8_tails_that_are_faster_everywhere_deserve_to_be_shipped() -> None:
    rows = [
        *(row("wins", 1.01), row("wins", 1.2), row("once", 1.1), row("once", 0.9), row("argmax", 1.1)),
        *(row("wide", 1.1, dtype="int64"), row("inexact", 1.5, agreement=0.99)),
        {"runtime": "litert", "tail": "refused", "refused": "TFLite graph with a TRANSPOSE operator"},
    ]
    assert tails.faster(rows) == [{"runtime": "litert", "tail": "wins"}]


@pytest.mark.slow
def test_every_candidate_is_measured_in_a_real_graph(tmp_path: Path) -> None:
    rows = {one["tail"]: one for one in tails.measure("s2d16", 3, 32, "onnxruntime", 10, tmp_path)}
    assert list(rows) == [tails.SHIPPED, *tails.CANDIDATES, tails.BEFORE]
    assert rows[tails.SHIPPED]["speedup"]["ratio"] == 1
    assert all(rows[name]["agreement"] == 1 for name in tails.CANDIDATES)
    assert rows[tails.BEFORE]["agreement"] < 1
    assert {rows[name]["dtype"] for name in rows} == {"uint8", "int32", "int64"}
    assert "1.000 x" in tails.line_of(rows[tails.SHIPPED])
