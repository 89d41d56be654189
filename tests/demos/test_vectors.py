"""The vectors that the ports are held to have the hard cases in them; the bundle for colour pictures is sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from demos.vectors import VECTORS

from acwskd_edge.bundle import open_bundle
from acwskd_edge.preprocess import resize_weights
from acwskd_edge.verify import verify


def test_cover_what_the_ports_may_get_wrong(vectors: Path) -> None:
    assert len(VECTORS) >= 8
    assert {one.pixel for one in VECTORS} == {"uint8", "int16"}
    assert {one.channels for one in VECTORS} == {1, 3}
    assert any(one.shape[0] % 2 and one.shape[1] % 2 for one in VECTORS)
    logits = np.load(vectors / "ct-odd-sizes/logits.npy")
    ordered = np.sort(logits, axis=1)
    assert (ordered[:, -1] == ordered[:, -2]).any()


def test_hold_exact_halves(vectors: Path) -> None:
    image = np.load(vectors / "exact-halves/image.npy").astype(np.float64)
    small = resize_weights(64, 32) @ image @ resize_weights(96, 48).T
    assert np.any(np.abs(small - np.floor(small) - 0.5) < 1e-9)


def test_the_colour_bundle_verifies(colour_bundle: Path) -> None:
    checks = verify(open_bundle(colour_bundle))
    assert {one.state for one in checks} == {"ok"}
    assert [one.name for one in checks[2:]] == ["tflite-fp32", "tflite-fp16", "tflite-int8"]
