"""What every data set must keep; one short subclass per reader says where a tiny one lies."""

from __future__ import annotations

import numpy as np

from acwskd_edge.data import SPLITS, DataSet, cases_in, split_hash


class DataSetContract:
    """Subclasses define the `data` fixture."""

    def test_cases_are_whole_and_within_the_label_map(self, data: DataSet) -> None:
        for one in data.ids():
            case = data.load(one)
            assert case.id == one
            assert case.label is not None
            assert case.label.shape == case.image.shape[:3]
            assert case.label.dtype == np.uint8
            assert set(np.unique(case.label)) <= {label.id for label in data.labels}
            limits = np.iinfo(data.pixel)
            assert case.image.shape[3:] == (() if data.channels == 1 else (data.channels,))
            assert limits.min <= case.image.min() <= case.image.max() <= limits.max

    def test_every_case_has_one_split_and_no_patient_two(self, data: DataSet) -> None:
        splits = {name: set(cases_in(data, name)) for name in SPLITS}
        assert set.union(*splits.values()) == set(data.ids())
        assert sum(map(len, splits.values())) == len(data.ids())
        of_patient: dict[str, set[str]] = {}
        for one in data.ids():
            assert data.patient_of(one) == data.load(one).patient
            of_patient.setdefault(data.patient_of(one), set()).add(data.split_of(one))
        assert all(len(found) == 1 for found in of_patient.values())

    def test_reading_twice_gives_the_same(self, data: DataSet) -> None:
        one = data.ids()[0]
        first, second = data.load(one), data.load(one)
        assert np.array_equal(first.image, second.image)
        assert first.spacing == second.spacing
        assert split_hash(data) == split_hash(data)

    def test_the_window_has_one_mean_and_one_std_per_channel(self, data: DataSet) -> None:
        assert len(data.intensity.mean) == len(data.intensity.std) == data.channels
        assert data.intensity.low < data.intensity.high

    def test_spacing_agrees_with_the_affine(self, data: DataSet) -> None:
        case = data.load(data.ids()[0])
        if case.affine is None:
            assert case.spacing is None
            return
        assert case.spacing is not None
        column, row, between = np.linalg.norm(case.affine[:3, :3], axis=0)
        assert np.allclose(case.spacing, (between, row, column))
        # Columns run to the patient's left and rows to posterior.
        assert case.affine[0, 0] < 0
        assert case.affine[1, 1] < 0
