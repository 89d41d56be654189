"""Synapse multi-organ CT as packed for 2-D training: 18 cases as slices, the 12 public test cases as volumes.

TransUNet's pack and the one of CASCADE and EMCAD lie in the same files with other label ids. Each part is therefore
weighed when it is opened: the liver is the largest organ, and the gallbladder far smaller than the left kidney.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Intensity, Label
from acwskd_edge.data.case import Case, Split, check_labels, few_cases_warning, split_by_hash
from acwskd_edge.data.hdf5 import read_h5
from acwskd_edge.errors import DataError

COLORS = {
    "background": (0, 0, 0),
    "aorta": (196, 78, 82),
    "gallbladder": (102, 194, 165),
    "left kidney": (27, 158, 119),
    "right kidney": (85, 168, 104),
    "liver": (221, 132, 82),
    "pancreas": (255, 217, 47),
    "spleen": (129, 114, 178),
    "stomach": (100, 181, 205),
}
# fmt: off
TRANSUNET = (
    "background", "aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach",
)
CASCADE = (
    "background", "spleen", "right kidney", "left kidney", "gallbladder", "pancreas", "liver", "stomach", "aorta",
)
BTCV = (  # the challenge's 13 organs, which CASCADE's files still hold and its loader reduces to eight
    "background", "spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver", "stomach", "aorta",
    "inferior vena cava", "portal and splenic vein", "pancreas", "right adrenal", "left adrenal",
)
# fmt: on
ORDERS = {"synapse": (TRANSUNET,), "synapse-cascade": (CASCADE, BTCV)}  # kind -> what its label ids can mean
PUBLIC_TEST = {f"case{n:04d}" for n in (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)}
Array = NDArray[Any]  # images are floats and labels whole numbers, of whichever width a pack was written with
SLICE = re.compile(r"(case\d{4})_slice(\d{3})$")
LOW, HIGH = -125.0, 275.0  # HU that the pack's 0 and 1 stand for
# What a damaged, pickled or wrong npz raises; TypeError and AttributeError where it is a single array, no archive.
UNREADABLE = (OSError, KeyError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)
SAMPLE = 8  # every 8th slice and every 4th row and column are enough to weigh the organs


@dataclass(frozen=True)
class Weights:
    """How much of each label id a sample holds, and where: enough to tell the packs apart and to find left and back."""

    voxels: NDArray[np.int64]  # (14,)
    places: NDArray[np.float64]  # (14, 2) sums of rows and columns

    def fit(self, order: tuple[str, ...]) -> bool:
        """Whether the ids can mean this."""
        size = dict(zip(order, self.voxels, strict=False))
        return bool(
            not self.voxels[len(order) :].any()
            and 0 < size["liver"] == self.voxels[1:].max()
            and size["gallbladder"] <= size["left kidney"] / 2
        )

    def centre(self, order: tuple[str, ...], *names: str) -> NDArray[np.float64]:
        """(row, column) of some organs' mass; NaN if there is none."""
        ids = [order.index(name) for name in names]
        count = self.voxels[ids].sum()
        return self.places[ids].sum(axis=0) / count if count else np.full(2, np.nan)


@dataclass(frozen=True)
class Part:
    """What was found about one of the two folders."""

    order: tuple[str, ...]  # what its label ids mean
    transpose: bool  # the pack keeps no orientation: how its slices become axial pictures, read off the organs
    flip: tuple[bool, bool]  # rows, columns, after the transposition


class Synapse:
    """Reader of TransUNet's pack: `train_npz/caseXXXX_sliceYYY.npz` and `test_vol_h5/caseXXXX.npy.h5`.

    Both hold `image` (float, HU clipped to [-125, 275] and scaled to [0, 1]) and `label`. The image is mapped back to
    whole HU, int16, so that the contract's intensity rule is in HU and a scan needs no scaling on a device. The pack
    keeps neither spacing (distances are in pixels) nor orientation: slices are turned so that the spleen lies in later
    columns than the liver and the kidneys in later rows than the stomach, as in every other CT data set here.

    The 12 public test cases test; a fifth of the other 18, chosen by hash of the case id, validates.
    """

    kind = "synapse"
    labels: tuple[Label, ...] = tuple(Label(i, name, COLORS[name]) for i, name in enumerate(TRANSUNET))
    modality = "CT"
    pixel = "int16"
    channels = 1
    intensity = Intensity(low=LOW, high=HIGH, mean=(75.0,), std=(200.0,))

    def __init__(self, where: str) -> None:
        self.root = Path(where)
        train, test = self._folder(where, "train_npz"), self._folder(where, "test_vol_h5")
        slices = [path for path in sorted(train.glob("case*.npz")) if SLICE.match(path.stem)]
        self._slices: dict[str, list[Path]] = {}
        for path in slices:
            self._slices.setdefault(path.stem[: len("case0000")], []).append(path)
        self._volumes = {path.name.removesuffix(".npy.h5"): path for path in sorted(test.glob("case????.npy.h5"))}
        if not self._slices or not self._volumes:
            raise DataError(f"no case in {test if slices else train}", allowed="caseXXXX_sliceYYY.npz, caseXXXX.npy.h5")
        wrong = sorted(set(self._slices) & PUBLIC_TEST | set(self._volumes) - PUBLIC_TEST)
        if wrong:
            raise DataError(
                f"{where}: {', '.join(wrong)} in the wrong folder",
                allowed=f"the public test cases, and only they, in {test.name}: {', '.join(sorted(PUBLIC_TEST))}",
            )
        self._parts = {"train": self._weigh(train, self._slices), "test": self._weigh(test, self._volumes)}
        self._splits = split_by_hash(self.ids(), self._volumes)
        self.warning = few_cases_warning(len(self.ids()))

    def _folder(self, where: str, name: str) -> Path:
        found = [path for path in (self.root / name, self.root / f"{name}_new") if path.is_dir()]
        if len(found) == 1:
            return found[0]
        raise DataError(
            f"{where} holds {name} and {name}_new: two packs, which must not be mixed"
            if found
            else f"{where or '(no path)'} is not a Synapse pack: no folder {name}",
            allowed="a folder with train_npz/caseXXXX_sliceYYY.npz and test_vol_h5/caseXXXX.npy.h5 of one pack",
            hint=f"--data {self.kind}:FOLDER",
        )

    def _weigh(self, folder: Path, cases: dict[str, list[Path]] | dict[str, Path]) -> Part:
        """Find out what the ids of a folder mean and how its slices lie.

        Raises:
            DataError: they mean what another kind reads, or nothing known.
        """
        weights = {one: weigh(_sampled(files)) for one, files in cases.items()}
        whole = Weights(
            np.sum([w.voxels for w in weights.values()], axis=0),
            np.sum([w.places for w in weights.values()], axis=0),
        )
        order = next((order for order in ORDERS[self.kind] if whole.fit(order)), None)
        for kind, orders in ORDERS.items():
            if kind == self.kind:
                continue
            strangers = [
                one
                for one, w in weights.items()
                if any(w.fit(o) for o in orders) and not any(w.fit(o) for o in ORDERS[self.kind])
            ]
            if strangers:
                shown = ", ".join(strangers[:3]) + (" ..." if len(strangers) > 3 else "")
                raise DataError(
                    f"{folder}: {len(strangers)} of {len(cases)} cases ({shown}) have the label order of {kind}",
                    allowed=", ".join(f"{i} {name}" for i, name in enumerate(ORDERS[self.kind][0])),
                    hint=f"--data {kind}:{self.root}, or the pack whole: never mix the two",
                )
        if order is None:
            raise DataError(
                f"{folder}: the labels fit neither Synapse pack (liver the largest organ, gallbladder far smaller than "
                "the left kidney)",
                hint="download the pack again",
            )
        left = whole.centre(order, "spleen") - whole.centre(order, "liver")
        back = whole.centre(order, "left kidney", "right kidney") - whole.centre(order, "stomach")
        if not np.isfinite(left + back).all():
            raise DataError(f"{folder}: no spleen, kidney or stomach is labelled", hint="download the pack again")
        transpose = bool(abs(left[0]) > abs(left[1]))
        return Part(order, transpose, (bool(back[int(transpose)] < 0), bool(left[int(not transpose)] < 0)))

    def ids(self) -> list[str]:
        """`caseXXXX`."""
        return sorted([*self._slices, *self._volumes])

    def split_of(self, case_id: str) -> Split:
        """See the class."""
        return self._splits[case_id]

    def patient_of(self, case_id: str) -> str:
        """Each case is its own patient."""
        return case_id

    def load(self, case_id: str) -> Case:
        """One case, slices stacked in their order, HU as int16."""
        if case_id in self._volumes:
            part, (image, label) = self._parts["test"], read_h5(self._volumes[case_id], "image", "label")
        else:
            part, (image, label) = self._parts["train"], stack(self._slices[case_id])
        if not (image.size and image.min() >= -0.01 and image.max() <= 1.01):
            low, high = (image.min(), image.max()) if image.size else (np.nan, np.nan)
            raise DataError(
                f"case {case_id}: image values from {low:g} to {high:g}",
                allowed=f"0 to 1, standing for {LOW:g} to {HIGH:g} HU",
            )
        names = [one.name for one in self.labels]
        meaning = tuple(Label(i, name, (0, 0, 0)) for i, name in enumerate(part.order))
        kept = np.array([names.index(name) if name in names else 0 for name in part.order], np.uint8)
        hu = np.rint(np.clip(image, 0, 1) * (HIGH - LOW) + LOW).astype(np.int16)
        mask = kept[check_labels(case_id, label, meaning)]
        return Case(case_id, case_id, _axial(hu, part), _axial(mask, part), None)


class SynapseCascade(Synapse):
    """Reader of the pack of CASCADE and EMCAD: the same layout (`train_npz_new`, `test_vol_h5_new`), other label ids.

    The challenge's 13 organs are reduced to the eight of every Synapse table, as that pack's own loader does.
    """

    kind = "synapse-cascade"
    labels = tuple(Label(i, name, COLORS[name]) for i, name in enumerate(CASCADE))


def read_npz(path: Path, *names: str) -> list[Array]:
    """The named arrays of an npz file; nothing is unpickled.

    Raises:
        DataError: damaged, pickled, or without one of the names.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            return [np.asarray(found[name]) for name in names]
    except UNREADABLE as error:
        raise DataError(
            f"{path} is not a readable npz slice ({error})", allowed=f"npz with {' and '.join(names)}"
        ) from error


def stack(paths: list[Path]) -> tuple[Array, Array]:
    """Slices 000, 001 ... of one case as a volume: image and label (D, H, W).

    Raises:
        DataError: a number is missing, or a slice has another shape.
    """
    numbers = {int(path.stem[-3:]) for path in paths}
    missing = sorted(set(range(max(numbers))) - numbers)
    if missing:
        shown = ", ".join(f"{n:03d}" for n in missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise DataError(f"{paths[0].parent}: slice(s) {shown} of {paths[0].stem[:8]} missing", hint="copy them again")
    images: list[Array] = []
    labels: list[Array] = []
    for path in paths:
        image, label = read_npz(path, "image", "label")
        if image.ndim != 2 or image.shape != label.shape or (images and image.shape != images[0].shape):
            raise DataError(
                f"{path}: image {image.shape}, label {label.shape}",
                allowed=f"both {images[0].shape if images else '(rows, columns)'}",
            )
        images.append(image)
        labels.append(label)
    return np.stack(images), np.stack(labels)


def weigh(slices: Iterator[Array]) -> Weights:
    """Voxels and places of the label ids in some slices (H, W); ids beyond the challenge's are left to `load`."""
    voxels, places = np.zeros(len(BTCV), np.int64), np.zeros((len(BTCV), 2))
    for one in slices:
        rows, columns = np.nonzero((one > 0) & (one < len(BTCV)))
        ids = one[rows, columns].astype(np.int64)
        voxels += np.bincount(ids, minlength=len(BTCV))
        places += np.stack([np.bincount(ids, axis, len(BTCV)) for axis in (rows, columns)], axis=1)
    return Weights(voxels, places)


def _sampled(files: list[Path] | Path) -> Iterator[Array]:
    """Thinned label slices of one case; damaged files are left to `load`."""
    step = SAMPLE // 2
    try:
        if isinstance(files, Path):
            yield from read_h5(files, "label", every=SAMPLE)[0][:, ::step, ::step]
        else:
            for path in files[::SAMPLE]:
                yield read_npz(path, "label")[0][::step, ::step]
    except (DataError, IndexError):
        return


def _axial(volume: Array, part: Part) -> Array:
    turned = volume.transpose(0, 2, 1) if part.transpose else volume
    flips = tuple(slice(None, None, -1 if flip else 1) for flip in part.flip)
    return np.ascontiguousarray(turned[(slice(None), *flips)])
