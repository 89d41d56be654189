"""A case: one labelled study, and what every data set gives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Intensity, Label
from acwskd_edge.errors import DataError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Case:
    """One study on its own grid: slices are the first axis, rows go to posterior and columns to the left (CT, MR).

    Raises:
        DataError: image and label differ in shape, or the image holds NaN or infinite values.
    """

    id: str
    patient: str
    image: NDArray[np.generic]  # (D, H, W) or (D, H, W, C)
    label: NDArray[np.uint8] | None  # (D, H, W); None for a scan without truth
    spacing: tuple[float, float, float] | None  # mm between slices, rows, columns; None where the pack lost it
    affine: NDArray[np.float64] | None = None  # 4x4, voxel (column, row, slice) of this grid -> mm, RAS

    def __post_init__(self) -> None:
        if self.image.ndim not in (3, 4) or 0 in self.image.shape:
            raise DataError(f"case {self.id}: image of shape {self.image.shape}", allowed="slices x rows x columns")
        if self.label is not None and self.label.shape != self.image.shape[:3]:
            raise DataError(
                f"case {self.id}: image is {self.image.shape[:3]} but label is {self.label.shape}",
                hint="resample the label onto the image's grid",
            )
        if self.image.dtype.kind == "f" and not np.isfinite(self.image).all():
            raise DataError(f"case {self.id}: image has NaN or infinite voxels", hint="repair or exclude the scan")

    @property
    def in_plane(self) -> tuple[float, float] | None:
        """Row and column spacing in mm."""
        return None if self.spacing is None else self.spacing[1:]


class DataSet(Protocol):
    """What training, the gate and the benchmark know of a data set."""

    kind: str  # the name before the colon of --data
    labels: tuple[Label, ...]
    modality: str
    pixel: str  # see Contract.pixel
    channels: int
    intensity: Intensity

    @property
    def warning(self) -> str | None:
        """What a reader of any figure measured on it must know."""
        ...

    def ids(self) -> list[str]:
        """All case ids, sorted."""
        ...

    def split_of(self, case_id: str) -> Split:
        """The split of a case; all cases of a patient share it."""
        ...

    def patient_of(self, case_id: str) -> str:
        """Whose case it is."""
        ...

    def load(self, case_id: str) -> Case:
        """Read and check one case.

        Raises:
            DataError: the files are absent, damaged or contradict each other.
        """
        ...


FEW = 3  # fewer cases than this cannot be split


def few_cases_warning(count: int) -> str | None:
    """What to say when training and validation are the same scans."""
    if count >= FEW:
        return None
    return (
        f"{count} case(s) only: training, validation and test are the same scans, so Dice shows that the pipeline "
        "works, not that the model generalises"
    )


def split_by_hash(ids: Iterable[str], fixed_test: Iterable[str] = ()) -> dict[str, Split]:
    """A split for data that comes without one: a fifth validates and, unless `fixed_test` says which, a fifth tests.

    The order is that of the ids' SHA-256, so adding cases moves few others.
    """
    test = set(fixed_test) & set(ids)
    rest = sorted(set(ids) - test, key=lambda one: hashlib.sha256(one.encode()).hexdigest())
    share = max(1, len(rest) // 5)
    splits: dict[str, Split] = dict.fromkeys(test, "test")
    for rank, one in enumerate(rest):
        splits[one] = "val" if rank < share else "test" if not test and rank < 2 * share else "train"
    return splits


def cases_in(data: DataSet, split: Split) -> list[str]:
    """Ids of a split; a data set of fewer than three cases has every case in every split (see its `warning`).

    Raises:
        DataError: the split is empty.
    """
    if len(data.ids()) < FEW:
        return data.ids()
    chosen = [one for one in data.ids() if data.split_of(one) == split]
    if not chosen:
        raise DataError(f"{data.kind}: no case in the {split} split", hint="add cases; splits are by patient")
    return chosen


def first_patients(data: DataSet, ids: list[str], count: int) -> list[str]:
    """The cases of `count` of the patients; in the order of their names' SHA-256, so more patients include fewer.

    Raises:
        DataError: there are fewer patients.
    """
    patients = sorted({data.patient_of(one) for one in ids}, key=lambda one: hashlib.sha256(one.encode()).hexdigest())
    if count > len(patients):
        raise DataError(f"{data.kind}: {count} training patients wanted", allowed=f"at most {len(patients)}, or 0: all")
    return [one for one in ids if data.patient_of(one) in patients[:count]]


def split_hash(data: DataSet) -> str:
    """SHA-256 over 'id split' lines: two runs with the same hash used the same split."""
    lines = "".join(f"{one} {data.split_of(one)}\n" for one in data.ids())
    return hashlib.sha256(lines.encode()).hexdigest()


def check_labels(case_id: str, label: NDArray[np.generic], labels: tuple[Label, ...]) -> NDArray[np.uint8]:
    """The label as uint8.

    Raises:
        DataError: a value that is not a label id.
    """
    known = {one.id for one in labels}
    found = np.unique(label)
    wrong = [float(v) for v in found if not (float(v).is_integer() and int(v) in known)]
    if wrong:
        shown = ", ".join(f"{v:g}" for v in wrong[:5])
        raise DataError(
            f"case {case_id}: label value(s) {shown} outside the label map",
            allowed=", ".join(f"{one.id} {one.name}" for one in labels),
            hint="map the labels first, or choose the data set's kind",
        )
    return label.astype(np.uint8)
