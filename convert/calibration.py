"""Training slices for int8: those that set its ranges, and those on which single layers are probed.

Every class that the training split holds is among them, taken in turns from as many cases as possible, together with
slices that hold no class. Nothing of validation or test: a scan that is also there, by patient or by its very pixels,
is refused.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet, cases_in
from acwskd_edge.data.case import FEW, Case
from acwskd_edge.errors import RefusedError
from acwskd_edge.preprocess import label_to_grid, to_grid

CALIBRATION = 32  # slices that set the ranges
PROBES = 16  # further slices, for the sensitivity of layers
LEAST = 8  # fewer slices than this are refused: caution, not a measured limit


@dataclass(frozen=True)
class TrainingSlice:
    """One slice of a training case."""

    case: str
    patient: str
    index: int  # in the case
    pixels: NDArray[np.generic]  # (h, w, C) on the network's grid, the contract's pixel dtype
    label: NDArray[np.uint8]  # (h, w) on the network's grid
    content: str | None  # hash of the slice as the data set gives it; None: one value throughout, like a slice of air

    @property
    def id(self) -> str:
        """`<case>-<slice>`."""
        return f"{self.case}-{self.index:03d}"


@dataclass(frozen=True)
class Calibration:
    """What int8 and the sensitivity of its layers are measured on."""

    slices: list[TrainingSlice]  # set the ranges
    probes: list[TrainingSlice]  # others where there are enough, else some of `slices`

    @property
    def pixels(self) -> list[NDArray[np.generic]]:
        """Of `slices`."""
        return [one.pixels for one in self.slices]

    def to_dict(self, contract: Contract) -> dict[str, Any]:
        """For report.json: ids, how many slices hold each class, SHA-256 over the pixels."""
        return {
            "split": "train",
            "slices": [one.id for one in self.slices],
            "classes": {
                label.name: sum(bool((one.label == label.id).any()) for one in self.slices)
                for label in contract.labels[1:]
            },
            "sha256": hashlib.sha256(b"".join(one.pixels.tobytes() for one in self.slices)).hexdigest(),
        }


def choose(data: DataSet, contract: Contract) -> Calibration:
    """Choose from the training split; a data set always gives the same.

    Raises:
        RefusedError: fewer than LEAST slices.
    """
    wanted = max(CALIBRATION, 2 * contract.classes) + PROBES
    found = take_in_turns(candidates(data, contract, wanted), contract.classes, wanted)
    if len(found) < LEAST:
        raise RefusedError(
            f"int8 needs at least {LEAST} training slices to calibrate on; {data.kind} has {len(found)}",
            hint="--precision fp16, or more training cases",
        )
    slices, probes = found[:-PROBES], found[-PROBES:]
    return Calibration(slices, probes) if len(slices) >= CALIBRATION else Calibration(found, probes)


def candidates(data: DataSet, contract: Contract, wanted: int) -> list[TrainingSlice]:
    """A few slices of every stratum of each case, one case in memory at a time.

    Reads `wanted` cases, evenly spread, and further ones only until every class has been seen.
    """
    ids = cases_in(data, "train")
    spread = np.unique(np.linspace(0, len(ids) - 1, min(wanted, len(ids))).round().astype(int))
    share = -(-wanted // len(spread))
    found: list[TrainingSlice] = []
    unseen = set(range(1, contract.classes))
    for rank, place in enumerate([*spread, *sorted(set(range(len(ids))) - set(spread))]):
        if rank >= len(spread) and not unseen:
            break
        case = data.load(ids[place])
        assert case.label is not None
        held = [set(np.unique(truth).tolist()) for truth in case.label]
        chosen: set[int] = set()
        for k in range(contract.classes):
            those = [i for i, classes in enumerate(held) if (k in classes if k else classes == {0})]
            if those:
                chosen |= {those[i] for i in np.linspace(0, len(those) - 1, share + 2).round().astype(int)[1:-1]}
        new = [training_slice(case, index, contract) for index in sorted(chosen)]
        unseen -= {int(k) for one in new for k in np.unique(one.label)}
        found += new
    return found


def training_slice(case: Case, index: int, contract: Contract) -> TrainingSlice:
    """One slice on the network's grid."""
    assert case.label is not None
    return TrainingSlice(
        case.id,
        case.patient,
        index,
        to_grid(case.image[index], contract),
        label_to_grid(case.label[index], contract),
        content_of(case.image[index]),
    )


def content_of(piece: NDArray[np.generic]) -> str | None:
    """Hash of one slice's values; None where all are equal."""
    return None if (piece == piece.flat[0]).all() else hashlib.sha256(np.ascontiguousarray(piece).tobytes()).hexdigest()


def take_in_turns(slices: list[TrainingSlice], classes: int, wanted: int) -> list[TrainingSlice]:
    """Up to `wanted` slices: each class in turn, the rarest first, then one without any; from the case used least."""
    held = [set(np.unique(one.label).tolist()) for one in slices]
    strata = [[i for i, found in enumerate(held) if k in found] for k in range(1, classes)]
    strata = [*sorted(strata, key=len), [i for i, found in enumerate(held) if found == {0}]]
    used: Counter[str] = Counter()
    taken: list[int] = []
    while len(taken) < wanted and any(strata):
        for stratum in strata:
            stratum[:] = [i for i in stratum if i not in taken]
            if stratum and len(taken) < wanted:
                best = min(stratum, key=lambda i: (used[slices[i].case], i))
                taken.append(best)
                used[slices[best].case] += 1
    return [slices[i] for i in taken]


def refuse_overlap(data: DataSet, calibration: Calibration, held_out: Iterable[Case]) -> None:
    """Check that no calibration slice is of a patient, or equal to a slice, of the held-out cases.

    Data sets of fewer than three cases are exempt: all their cases are in every split, and a warning has said so.

    Raises:
        RefusedError: names both.
    """
    if len(data.ids()) < FEW:
        return
    slices = [*calibration.slices, *calibration.probes]
    patients = {one.patient: one for one in slices}
    contents = {one.content: one for one in slices if one.content}
    for case in held_out:
        same = patients.get(case.patient)
        same = same or next((contents[key] for key in map(content_of, case.image) if key in contents), None)
        if same:
            raise RefusedError(
                f"calibration slice {same.id} (training) is also in case {case.id} ({data.split_of(case.id)})",
                hint="remove the duplicate from the data; splits are by patient",
            )
