"""Which training slices calibrate int8, on data sets small enough to see through."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from acwskd_edge.contract import Contract
from acwskd_edge.data import Split
from acwskd_edge.data.case import Case
from acwskd_edge.errors import RefusedError
from convert.calibration import CALIBRATION, LEAST, PROBES, Calibration, choose, refuse_overlap


class Memory:
    """Cases in memory, each `<split>-<number>`; patients may be told apart otherwise than by the case."""

    kind = "memory"

    def __init__(self, counts: dict[Split, int], slices: int = 4) -> None:
        self.cases: dict[str, Case] = {}
        for split, count in counts.items():
            for number in range(count):
                name = f"{split}-{number:02d}"
                image = np.random.default_rng([len(self.cases), 7]).integers(-100, 200, (slices, 32, 48))
                label = np.zeros((slices, 32, 48), np.uint8)
                label[1:, 4:20, 4:20] = 1
                self.cases[name] = Case(name, name, image.astype(np.int16), label, None)

    def ids(self) -> list[str]:
        return sorted(self.cases)

    def split_of(self, case_id: str) -> Split:
        return case_id.split("-")[0]  # type: ignore[return-value]

    def load(self, case_id: str) -> Case:
        return self.cases[case_id]


@pytest.fixture
def calibrate(contract: Contract) -> Callable[[Memory], Calibration]:
    """Choose, then check against everything held out."""

    def run(data: Memory) -> Calibration:
        chosen = choose(data, contract)  # type: ignore[arg-type]
        held_out = [one for one in data.cases.values() if data.split_of(one.id) != "train"]
        refuse_overlap(data, chosen, held_out)  # type: ignore[arg-type]
        return chosen

    return run


Calibrate = Callable[[Memory], Calibration]


def test_only_training_slices_none_twice_probes_apart(calibrate: Calibrate) -> None:
    chosen = calibrate(Memory({"train": 20, "val": 3, "test": 3}))
    ids = [one.id for one in [*chosen.slices, *chosen.probes]]
    assert len(chosen.slices) == CALIBRATION
    assert len(chosen.probes) == PROBES
    assert len(set(ids)) == len(ids)
    assert {one.split("-")[0] for one in ids} == {"train"}


def test_the_same_data_gives_the_same_slices(calibrate: Calibrate, contract: Contract) -> None:
    first, second = (calibrate(Memory({"train": 9, "val": 2})).to_dict(contract) for _ in range(2))
    assert first == second
    assert len(first["sha256"]) == 64


@pytest.mark.parametrize("place", [0, 37, 99])
def test_a_class_of_one_slice_in_a_hundred_cases_is_among_them(
    calibrate: Calibrate, contract: Contract, place: int
) -> None:
    data = Memory({"train": 100, "val": 2})
    label = data.cases[f"train-{place:02d}"].label
    assert label is not None
    label[2, 24:30, 30:40] = 2
    chosen = calibrate(data)
    assert f"train-{place:02d}-002" in [one.id for one in chosen.slices]
    counts = chosen.to_dict(contract)["classes"]
    assert counts["spleen"] == 1
    assert counts["liver"] > 8


def test_slices_without_any_class_are_among_them_and_cases_take_turns(calibrate: Calibrate) -> None:
    chosen = calibrate(Memory({"train": 20, "val": 2}))
    assert sum(not one.label.any() for one in chosen.slices) >= 8
    assert len({one.case for one in chosen.slices}) == 20


def test_few_slices_serve_twice_and_fewer_are_refused_with_the_number_needed(calibrate: Calibrate) -> None:
    chosen = calibrate(Memory({"train": 2, "val": 1}, slices=LEAST // 2))
    assert len(chosen.slices) == LEAST
    assert {one.id for one in chosen.probes} <= {one.id for one in chosen.slices}
    with pytest.raises(
        RefusedError, match=rf"at least {LEAST} training slices .* memory has 3; next: --precision fp16"
    ):
        calibrate(Memory({"train": 1, "val": 2}, slices=3))


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_scan_that_is_also_held_out_under_another_name_is_refused(calibrate: Calibrate, split: Split) -> None:
    data = Memory({"train": 5, "val": 2, "test": 2})
    copied = data.cases["train-03"]
    data.cases[f"{split}-01"] = Case(f"{split}-01", f"{split}-01", copied.image, copied.label, None)
    with pytest.raises(RefusedError, match=rf"slice train-03-00\d \(training\) is also in case {split}-01 \({split}\)"):
        calibrate(data)


def test_a_patient_on_both_sides_is_refused(calibrate: Calibrate) -> None:
    data = Memory({"train": 5, "val": 2})
    other = data.cases["val-00"]
    data.cases["val-00"] = Case("val-00", "train-02", other.image, other.label, None)
    with pytest.raises(RefusedError, match=r"slice train-02-00\d \(training\) is also in case val-00 \(val\)"):
        calibrate(data)


def test_slices_of_air_are_alike_and_no_reason_to_refuse(calibrate: Calibrate) -> None:
    data = Memory({"train": 5, "val": 2})
    for case in data.cases.values():
        case.image[0] = -1000
    calibrate(data)


def test_one_or_two_cases_calibrate_on_what_they_are_measured_on(calibrate: Calibrate) -> None:
    data = Memory({"train": 1, "val": 1})
    assert {one.case for one in calibrate(data).slices} == {"train-00", "val-00"}
