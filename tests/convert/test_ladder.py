"""The ladder's order, and where it stops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from acwskd_edge.contract import Contract
from acwskd_edge.errors import RefusedError
from convert.ladder import Rung, climb, rungs, summary
from convert.sensitivity import loss_of, ranked, table

LAYERS = [f"layer {k}" for k in range(9)]


def test_kept_layers_double_up_to_half_of_them() -> None:
    steps = list(rungs(lambda: LAYERS))
    assert [one.label for one in steps] == ["int8", "mixed", "mixed", "mixed", "fp16", "fp32"]
    assert [len(one.keep) for one in steps] == [0, 1, 2, 4, 0, 0]
    assert steps[2].keep == ("layer 0", "layer 1")


def test_layers_that_cannot_be_told_apart_are_no_obstacle(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> list[str]:
        raise RefusedError("other convolutions")

    assert [one.label for one in rungs(refuse)] == ["int8", "fp16", "fp32"]
    assert "other convolutions" in capsys.readouterr().out


def entry_of(rung: Rung, drop: float) -> dict[str, Any]:
    return {
        "id": f"onnx-{rung.label}",
        "precision": rung.label,
        "keep": list(rung.keep),
        "bytes": 1,
        "seconds": 1.0,
        "dice_change": {"mean": -drop / 2, "liver": -drop, "spleen": None},
        "verdict": "rejected" if drop > 0.01 else "passed",
    }


def test_it_stops_at_the_first_rung_that_passes_and_says_what_each_gave() -> None:
    drops = iter([0.3, 0.1, 0.002])
    tried = climb(rungs(lambda: LAYERS), lambda rung: entry_of(rung, next(drops)))
    assert [one["verdict"] for one in tried] == ["rejected", "rejected", "passed"]
    assert tried[-1]["keep"] == ["layer 0", "layer 1"]
    assert summary(tried) == (
        "int8 rejected (liver -0.3000) -> mixed (1 kept) rejected (liver -0.1000) -> mixed (2 kept) passed "
        "(liver -0.0020)"
    )


def test_sensitivity_is_not_measured_where_int8_passes() -> None:
    def never() -> list[str]:
        raise AssertionError

    assert len(climb(rungs(never), lambda rung: entry_of(rung, 0.0))) == 1


def test_a_layer_is_ranked_by_the_mask_lost_in_its_worst_class(contract: Contract) -> None:
    expected = np.zeros((2, 32, 48), np.uint8)
    expected[0, :20], expected[1, :4, :4] = 1, 2
    shrunk, blind = expected.copy(), expected.copy()
    shrunk[0, 18:] = 0
    blind[1] = 0
    mild, bad, none = (loss_of(name, got, expected, expected, contract) for name, got in
                       (("mild", shrunk), ("bad", blind), ("none", expected)))  # fmt: skip
    assert [one.layer for one in ranked([none, mild, bad])] == ["bad", "mild", "none"]
    assert (bad.lost, bad.lost_class, bad.worst_class, bad.dice_change) == (1.0, "spleen", "spleen", -0.5)
    assert none.lost == none.dice_change == 0
    assert [line.split()[0] for line in table([none, mild, bad]).splitlines()] == ["layer", "bad", "mild", "none"]
