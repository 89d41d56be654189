"""What only the phantom promises; what every data set promises is in dataset_contract.py."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from acwskd_edge.data.case import SPLITS, Case, cases_in
from acwskd_edge.data.phantom import LABELS, PATIENTS, VERSION, Phantom, make_patient
from acwskd_edge.errors import DataError, UsageError

FROZEN = "6e7922764a828c337f6c7439a8a176c444240b0f6a227673aa103755fe2520cf"
ID = {label.name: label.id for label in LABELS}


@pytest.fixture(scope="module")
def patients() -> list[Case]:
    return [make_patient(n) for n in range(8)]


def truth(case: Case) -> NDArray[np.uint8]:
    assert case.label is not None
    return case.label


def bytes_of(case: Case) -> bytes:
    return case.image.tobytes() + truth(case).tobytes()


def centre(case: Case, name: str) -> NDArray[np.float64]:
    """Mean position of a class in RAS millimetres."""
    assert case.affine is not None
    where = np.argwhere(truth(case) == ID[name]).mean(axis=0)[::-1]
    return case.affine[:3, :3] @ where + case.affine[:3, 3]


def test_a_patient_is_the_same_whenever_and_among_however_many(patients: list[Case]) -> None:
    assert bytes_of(Phantom("3").load("phantom0002")) == bytes_of(Phantom("200").load("phantom0002"))
    assert bytes_of(make_patient(2)) == bytes_of(patients[2])
    assert len({bytes_of(case) for case in patients}) == len(patients)


def test_this_version_is_frozen() -> None:
    """A change to the drawing needs a new VERSION: measured figures belong to the old one."""
    assert VERSION == 1
    assert hashlib.sha256(bytes_of(make_patient(0))).hexdigest() == FROZEN


def test_labels_are_known_and_each_class_is_in_the_training_split(patients: list[Case]) -> None:
    seen = [set(np.unique(truth(case)).tolist()) for case in patients if Phantom().split_of(case.id) == "train"]
    assert set().union(*seen) == {label.id for label in LABELS}
    for label in LABELS:
        rate = np.mean([label.id in one for one in seen])
        assert rate == 1 or (label.name == "gallbladder" and rate >= 0.5), label.name


@pytest.mark.parametrize(
    ("one", "other"),
    [("liver", "spleen"), ("pancreas", "duodenum"), ("pancreas", "liver"), ("inferior vena cava", "liver")],
)
def test_organs_cannot_be_told_apart_by_intensity(patients: list[Case], one: str, other: str) -> None:
    """The shared area of the two HU histograms, pooled over patients, is large."""
    shares = []
    for name in (one, other):
        values = np.concatenate([case.image[truth(case) == ID[name]] for case in patients])
        shares.append(np.histogram(values, bins=np.arange(-160, 250, 10))[0] / len(values))
    assert np.minimum(*shares).sum() > 0.4


def test_anatomy_is_in_its_place(patients: list[Case]) -> None:
    for case in patients:
        at = {name: centre(case, name) for name in ID if ID[name] and ID[name] in truth(case)}
        assert at["liver"][0] > at["stomach"][0], "the liver lies to the right of the stomach"
        assert at["right kidney"][0] > at["inferior vena cava"][0] > at["aorta"][0] > at["left kidney"][0]
        assert at["spleen"][0] < at["aorta"][0]
        assert at["pancreas"][1] > at["aorta"][1] > at["left kidney"][1] - 20, "the pancreas is in front of the aorta"
        assert at["spleen"][2] > at["left kidney"][2], "the spleen lies above the kidney"


def test_edges_are_partial_volumes_and_the_noise_is_correlated(patients: list[Case]) -> None:
    image = patients[0].image.astype(float)
    corner = image[:, :8, :8]  # air
    assert 5 < corner.std() < 30
    step = np.corrcoef(corner[:, :, :-1].ravel(), corner[:, :, 1:].ravel())[0, 1]
    assert 0.4 < step < 0.9
    assert ((image > -700) & (image < -300)).mean() > 0.005, "between air and tissue"


def test_grid(patients: list[Case]) -> None:
    for case in patients:
        assert case.image.dtype == np.int16
        assert case.spacing is not None
        assert case.affine is not None
        assert 12 <= case.image.shape[0] <= 16
        assert case.image.shape[1] == case.image.shape[2]
        assert case.image.shape[1] in range(128, 161)
        assert np.allclose(np.diag(case.affine), [-case.spacing[2], -case.spacing[1], case.spacing[0], 1])
    assert len({case.spacing for case in patients}) == len(patients)


def test_splits_are_by_patient_and_do_not_move_when_patients_are_added() -> None:
    small, large = Phantom(), Phantom("100")
    parts = [cases_in(small, split) for split in SPLITS]
    assert [len(part) for part in parts] == [24, 8, 8]
    assert sorted(one for part in parts for one in part) == small.ids()
    assert len(small.ids()) == PATIENTS
    assert all(small.split_of(one) == large.split_of(one) for one in small.ids())


@pytest.mark.parametrize("where", ["0", "-3", "ten", "4.5", "10000", "data/FLARE22", " 4"])
def test_a_bad_number_of_patients_is_one_clear_line(where: str) -> None:
    with pytest.raises(UsageError, match="allowed: phantom, or phantom:N") as caught:
        Phantom(where)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case_id", ["phantom0005", "phantom5", "liver", "phantom0001x"])
def test_an_unknown_case_is_refused_by_name(case_id: str) -> None:
    data = Phantom("5")
    for use in (data.load, data.split_of):
        with pytest.raises(DataError, match=f"no case '{case_id}'"):
            use(case_id)
