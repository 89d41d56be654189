"""The gate, against fake runtimes whose damage is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from acwskd_edge.contract import Contract
from acwskd_edge.data.case import Case
from acwskd_edge.evaluate import Prepared
from convert.gate import Reference, change_interval, measure, reference_of


def perfect(batch: NDArray[np.generic]) -> NDArray[np.float32]:
    """Reads the class off the brightness: 40 HU is background, 240 HU the second class."""
    level = np.rint(2 * np.asarray(batch, np.float32))
    return np.stack([-np.abs(level[:, 0] - k) for k in range(3)], axis=1)


@pytest.fixture
def reference(contract: Contract) -> Reference:
    """Two cases on which the checkpoint is perfect; class 2 is small and in the second case only."""
    cases = []
    for name in ("one", "two"):
        label = np.zeros((2, 32, 48), np.uint8)
        label[:, 4:20, 4:30] = 1
        if name == "two":
            label[0, 24:28, 30:40] = 2
        image = (40 + 100 * label.astype(np.int16)).astype(np.int16)
        cases.append(Prepared(Case(name, name, image, label, None), image[..., None]))
    return reference_of(perfect, cases, contract)


def judge(runtime: Any, reference: Reference, contract: Contract, **options: Any) -> dict[str, Any]:
    return measure(
        runtime, reference, [], contract, **{"io": "tensor", "precision": "int8", "max_drop": 0.01} | options
    )


def test_the_checkpoint_itself_passes(reference: Reference, contract: Contract) -> None:
    facts = judge(perfect, reference, contract, precision="fp32")
    assert facts["verdict"] == "passed"
    assert facts["dice_change"] == {"mean": 0.0, "liver": 0.0, "spleen": 0.0}
    assert (facts["argmax_agreement"], facts["max_logit_error"]) == (1.0, 0.0)


def test_the_interval_covers_the_change_and_skips_absent_classes() -> None:
    before = np.array([[0.9, np.nan], [0.8, np.nan], [0.7, np.nan], [0.9, np.nan]])
    patients = ["one", "two", "three", "four"]
    low, high = change_interval(before - np.array([[0.1], [0.0], [0.0], [0.1]]), before, patients)
    assert low[0] == low[1] < -0.05 < high[1] == high[0] <= 0
    assert np.isnan(low[2])
    assert np.array_equal(change_interval(before, before, patients)[:, :2], np.zeros((2, 2)))


def test_two_cases_of_a_patient_are_drawn_together_and_one_patient_gives_no_interval() -> None:
    before, after = np.full((4, 1), 0.9), np.array([[0.8], [1.0], [0.8], [1.0]])
    apart = change_interval(after, before, ["1", "2", "3", "4"])
    assert np.ptp(apart[:, 0]) > 0.05
    assert change_interval(after, before, ["1", "1", "2", "2"])[:, 0] == pytest.approx([0, 0])
    assert np.isnan(change_interval(after, before, ["1"] * 4)).all()


def test_a_lost_small_class_is_refused_by_name_though_the_pixels_agree(
    reference: Reference, contract: Contract
) -> None:
    def blind(batch: NDArray[np.generic]) -> NDArray[np.float32]:
        logits = perfect(batch)
        logits[:, 2] -= 10
        return logits

    facts = judge(blind, reference, contract)
    assert facts["argmax_agreement"] > 0.99
    assert facts["verdict"] == "rejected"
    assert any("class spleen 1.0000 -> 0.0000" in one and "case two" in one for one in facts["reasons"])
    assert facts["empty_masks"] == {"artefact": 1, "checkpoint": 0}
    assert facts["worst"] == {"class": "spleen", "class_change": -1.0, "case": "two", "case_change": -1.0}
    assert facts["next"] == "--precision auto, which keeps the layers that lose most in float"
    assert facts["hd95"]["spleen"] is facts["hd95_change"]["spleen"] is None


def test_hd95_is_in_mm_and_positive_where_the_outline_moved(contract: Contract) -> None:
    label = np.zeros((3, 32, 48), np.uint8)
    label[:, 4:20, 4:30] = 1
    image = (40 + 100 * label.astype(np.int16)).astype(np.int16)
    case = Prepared(Case("one", "one", image, label, (5.0, 2.0, 3.0)), image[..., None])
    reference = reference_of(perfect, [case], contract)

    def cut(batch: NDArray[np.generic]) -> NDArray[np.float32]:
        logits = perfect(batch)
        logits[:, 0, :, 27:] += 10
        return logits

    facts = judge(cut, reference, contract)
    assert facts["hd95_change"] == {"mean": 9.0, "liver": 9.0, "spleen": None}  # three columns of 3 mm
    assert judge(perfect, reference, contract)["hd95_change"]["mean"] == 0


def test_tolerance_holds_for_every_class_not_just_the_mean(reference: Reference, contract: Contract) -> None:
    def shrunk(batch: NDArray[np.generic]) -> NDArray[np.float32]:
        logits = perfect(batch)
        logits[:, 2, :, 38:] -= 10
        return logits

    facts = judge(shrunk, reference, contract, max_drop=0.06)
    assert facts["dice_change"]["mean"] > -0.06
    assert [one.split()[1] for one in facts["reasons"]] == ["spleen"]
    passed = judge(shrunk, reference, contract, max_drop=0.2)
    assert (passed["verdict"], passed["next"]) == ("passed", None)


def test_the_worst_class_is_named_first_and_the_mean_last(reference: Reference, contract: Contract) -> None:
    facts = judge(lambda batch: perfect(batch) * np.float32(0), reference, contract)
    assert [one.split()[1] for one in facts["reasons"]] == ["liver", "spleen", "Dice"]
    assert all("worst in case" in one for one in facts["reasons"])


def test_fp32_must_be_the_checkpoint(reference: Reference, contract: Contract) -> None:
    facts = judge(lambda batch: perfect(batch) + np.float32(0.01), reference, contract, precision="fp32")
    assert facts["reasons"] == ["fp32 logit error 0.01 > 0.001"]
    assert judge(lambda batch: perfect(batch) + np.float32(0.01), reference, contract)["verdict"] == "passed"


def test_nan_is_refused_and_json_stays_legal(reference: Reference, contract: Contract) -> None:
    facts = judge(lambda batch: perfect(batch) * np.float32(np.nan), reference, contract)
    assert "logits hold NaN or infinite values" in facts["reasons"]
    assert facts["max_logit_error"] is None


def test_raw_artefacts_are_judged_by_their_masks(reference: Reference, contract: Contract) -> None:
    def raw(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        assert pixels.dtype == np.int16
        return ((pixels[:, 0] - 40) // 100).astype(np.uint8)

    facts = judge(raw, reference, contract, io="raw")
    assert facts["verdict"] == "passed"
    assert "max_logit_error" not in facts
