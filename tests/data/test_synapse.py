from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from dataset_contract import DataSetContract
from disk import SYNAPSE_TEST, write_synapse

from acwskd_edge.data import DataSet, cases_in, open_data
from acwskd_edge.data.synapse import BTCV, CASCADE, TRANSUNET
from acwskd_edge.errors import DataError

PACKS = [("synapse", TRANSUNET), ("synapse-cascade", CASCADE), ("synapse-cascade", BTCV)]


class TestSynapse(DataSetContract):
    @pytest.fixture
    def data(self, synapse_folder: Path) -> DataSet:
        return open_data(f"synapse:{synapse_folder}")


class TestSynapseCascade(DataSetContract):
    @pytest.fixture
    def data(self, tmp_path: Path) -> DataSet:
        return open_data(f"synapse-cascade:{write_synapse(tmp_path, BTCV, '_new')}")


@pytest.mark.parametrize(("kind", "order"), PACKS)
def test_organs_keep_their_names_and_lie_as_in_an_axial_picture(
    tmp_path: Path, kind: str, order: tuple[str, ...]
) -> None:
    data = open_data(f"{kind}:{write_synapse(tmp_path, order)}")
    ids = {label.name: label.id for label in data.labels}
    for case_id in data.ids():
        label = data.load(case_id).label
        assert label is not None
        at = {name: np.argwhere(label[0] == k).mean(axis=0) for name, k in ids.items()}
        assert at["liver"][1] < at["aorta"][1] < at["spleen"][1], "columns run to the patient's left"
        assert at["stomach"][0] < at["pancreas"][0] < at["left kidney"][0], "rows run to posterior"
        assert len(at) == 9


def test_the_public_cases_test_and_the_rest_is_split_by_case(synapse_folder: Path) -> None:
    data = open_data(f"synapse:{synapse_folder}")
    assert cases_in(data, "test") == [f"case{n:04d}" for n in SYNAPSE_TEST]
    assert len(cases_in(data, "val")) == 1
    assert len(cases_in(data, "train")) == 5


def test_values_are_hounsfield_units_again(synapse_folder: Path) -> None:
    case = open_data(f"synapse:{synapse_folder}").load("case0005")
    with np.load(synapse_folder / "train_npz/case0005_slice002.npz") as packed:
        image = packed["image"]
    assert case.image.dtype == np.int16
    assert np.array_equal(case.image[2], np.rint(image * 400 - 125).T[::-1])


@pytest.mark.parametrize(("kind", "order"), PACKS)
def test_the_other_pack_is_refused_and_the_right_kind_named(tmp_path: Path, kind: str, order: tuple[str, ...]) -> None:
    wrong = "synapse" if kind == "synapse-cascade" else "synapse-cascade"
    with pytest.raises(DataError, match=f"6 of 6 cases .* label order of {kind}; .* next: --data {kind}:"):
        open_data(f"{wrong}:{write_synapse(tmp_path, order)}")


def test_one_case_of_the_other_pack_is_found_among_many(synapse_folder: Path, tmp_path: Path) -> None:
    other = write_synapse(tmp_path / "other", CASCADE)
    for path in (other / "train_npz").glob("case0007*"):
        path.replace(synapse_folder / "train_npz" / path.name)
    with pytest.raises(DataError, match=r"1 of 6 cases \(case0007\) have the label order of synapse-cascade"):
        open_data(f"synapse:{synapse_folder}")


def test_a_test_folder_of_the_other_pack_is_refused(synapse_folder: Path, tmp_path: Path) -> None:
    other = write_synapse(tmp_path / "other", CASCADE)
    for path in (other / "test_vol_h5").iterdir():
        path.replace(synapse_folder / "test_vol_h5" / path.name)
    with pytest.raises(DataError, match="test_vol_h5: 2 of 2 cases"):
        open_data(f"synapse:{synapse_folder}")


def test_labels_of_neither_pack_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fit neither Synapse pack"):
        open_data(f"synapse:{write_synapse(tmp_path, TRANSUNET[::-1])}")


def spoil(root: Path, how: str) -> None:
    """Spoil training case 0005."""
    path = root / "train_npz/case0005_slice001.npz"
    with np.load(path) as packed:
        image, label = packed["image"], packed["label"]
    if how == "missing slice":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-400])
    elif how == "pickle":
        np.savez(path, image=np.array([{}], object), label=label)
    elif how == "no label":
        np.savez(path, image=image)
    elif how == "shape":
        np.savez(path, image=image[:32], label=label[:32])
    elif how == "label shape":
        np.savez(path, image=image, label=label[:32])
    elif how == "unit":
        np.savez(path, image=image * 400 - 125, label=label)
    elif how == "NaN":
        np.savez(path, image=image * np.nan, label=label)
    elif how == "label id":
        np.savez(path, image=image, label=label + 9)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing slice", r"slice\(s\) 001 of case0005 missing"),
        ("truncated", "not a readable npz slice"),
        ("pickle", "not a readable npz slice .*allow_pickle=False"),
        ("no label", "allowed: npz with image and label"),
        ("shape", r"image \(32, 64\), .* allowed: both \(64, 64\)"),
        ("label shape", r"label \(32, 64\)"),
        ("unit", "allowed: 0 to 1, standing for -125 to 275 HU"),
        ("NaN", "case case0005: image values from nan to nan"),
        ("label id", "outside the label map"),
    ],
)
def test_a_spoilt_case_is_one_clear_line_and_spoils_no_other(synapse_folder: Path, how: str, says: str) -> None:
    spoil(synapse_folder, how)
    data = open_data(f"synapse:{synapse_folder}")
    with pytest.raises(DataError, match=says) as caught:
        data.load("case0005")
    assert "\n" not in str(caught.value)
    data.load("case0006")


def test_a_spoilt_volume_is_one_clear_line(synapse_folder: Path) -> None:
    path = synapse_folder / "test_vol_h5/case0001.npy.h5"
    with h5py.File(path, "w") as volume:
        volume["image"] = np.zeros((2, 8, 8))
    with pytest.raises(DataError, match="allowed: h5 with image and label"):
        open_data(f"synapse:{synapse_folder}").load("case0001")


def test_a_leaking_or_mixed_folder_is_refused(synapse_folder: Path) -> None:
    train = synapse_folder / "train_npz"
    stray = train / "case0001_slice000.npz"
    stray.write_bytes((train / "case0005_slice000.npz").read_bytes())
    with pytest.raises(DataError, match="case0001 in the wrong folder"):
        open_data(f"synapse:{synapse_folder}")
    stray.unlink()
    (synapse_folder / "train_npz_new").mkdir()
    with pytest.raises(DataError, match="two packs, which must not be mixed"):
        open_data(f"synapse:{synapse_folder}")
