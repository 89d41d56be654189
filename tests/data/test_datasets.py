from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from dataset_contract import DataSetContract
from disk import write_flare
from spoil import damage

from acwskd_edge.data import DataSet, cases_in, first_patients, open_data
from acwskd_edge.errors import DataError, UsageError


class TestPhantom(DataSetContract):
    @pytest.fixture
    def data(self) -> DataSet:
        return open_data("phantom:6")


class TestFlare22(DataSetContract):
    @pytest.fixture
    def data(self, flare_folder: Path) -> DataSet:
        return open_data(f"flare22:{flare_folder}")

    def test_the_public_test_case_tests(self, data: DataSet) -> None:
        assert cases_in(data, "test") == ["FLARE22_Tr_0010"]

    def test_storage_order_does_not_matter(self, tmp_path: Path) -> None:
        write_flare(tmp_path, "straight", 7)
        write_flare(tmp_path, "flipped", 7, flip=True)
        data = open_data(f"flare22:{tmp_path}")
        straight, flipped = data.load("straight"), data.load("flipped")
        assert np.array_equal(straight.image, flipped.image[:, :, ::-1])

    def test_one_case_is_everywhere_and_says_so(self, tmp_path: Path) -> None:
        write_flare(tmp_path, "case_a", 1)
        data = open_data(f"flare22:{tmp_path}")
        assert cases_in(data, "train") == cases_in(data, "val") == ["case_a"]
        assert "not that the model generalises" in str(data.warning)


class TestAcdc(DataSetContract):
    @pytest.fixture
    def data(self, acdc_folder: Path) -> DataSet:
        return open_data(f"acdc:{acdc_folder}")

    def test_the_fixed_split(self, data: DataSet) -> None:
        assert cases_in(data, "val") == ["patient003_frame01", "patient003_frame12"]
        assert cases_in(data, "test") == ["patient004_frame01", "patient004_frame12"]

    def test_more_patients_include_fewer(self, data: DataSet) -> None:
        everyone = cases_in(data, "train")
        one, two = (first_patients(data, everyone, count) for count in (1, 2))
        assert len(one) == 2  # both phases
        assert set(one) < set(two) < set(everyone)
        with pytest.raises(DataError, match="4 training patients wanted; allowed: at most 3, or 0: all"):
            first_patients(data, everyone, 4)

    def test_a_patient_who_repeats_a_test_patients_images_is_left_out(self, acdc_folder: Path) -> None:
        (acdc_folder / "patient006_frame01.h5").rename(acdc_folder / "patient076_frame01.h5")
        assert open_data(f"acdc:{acdc_folder}").ids()[-1] == "patient006_frame12"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("truncated", "truncated or damaged"),
        ("cut gzip", "damaged|not a readable"),
        ("not a NIfTI", "not a readable NIfTI"),
        ("NaN", "NaN or infinite"),
        ("label id", "99 outside the label map; allowed: 0 background, 1 liver"),
        ("shape", "image is .* but label is"),
        ("place", "different places"),
        ("four axes", "allowed: one 3-D volume"),
        ("no label", "no file .*labels"),
    ],
)
def test_a_spoilt_scan_is_one_clear_line(flare_folder: Path, how: str, says: str) -> None:
    damage(flare_folder, how)
    with pytest.raises(DataError, match=says) as caught:
        open_data(f"flare22:{flare_folder}").load("FLARE22_Tr_0001")
    assert "\n" not in str(caught.value)


def test_a_spoilt_h5_is_one_clear_line(acdc_folder: Path) -> None:
    with h5py.File(acdc_folder / "patient001_frame01.h5", "w") as volume:
        volume["image"] = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(DataError, match="allowed: h5 with image and label"):
        open_data(f"acdc:{acdc_folder}").load("patient001_frame01")


@pytest.mark.parametrize("kind", ["flare22", "acdc", "synapse", "synapse-cascade", "m2caiseg", "folder"])
def test_a_missing_or_empty_folder_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    for where in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError, match=r"next: |allowed: "):
            open_data(f"{kind}:{where}")


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="allowed: phantom, flare22, acdc"):
        open_data("brats:/data")
