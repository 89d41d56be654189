"""A folder of pictures and masks: `images/` and `masks/` with equal stems, alone or below `train/`, `val/`, `test/`."""

from __future__ import annotations

import colorsys
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Intensity, Label
from acwskd_edge.data.case import SPLITS, Case, Split, check_labels, few_cases_warning, split_by_hash
from acwskd_edge.data.raster import LOSSLESS, RASTERS, RGB, rasters_in, read_raster
from acwskd_edge.errors import DataError

LAYOUT = "images/ and masks/ with equal stems, or train/, val/, test/ with those in each"
EXAMPLE = '[{"id": 0, "name": "background", "color": [0, 0, 0]}, {"id": 1, "name": "polyp", "color": [255, 0, 0]}]'
MEASURED = 50  # 16-bit training images that decide the window
MOST_INT16 = 32767  # the contract's pixels are uint8 or int16


class Folder:
    """Reader of `images/` (PNG, JPEG, TIFF; grey of 8 or 16 bits, or RGB) and `masks/` (PNG, TIFF).

    `labels.json` lists `id`, `name` and, if wanted, `color`. Grey masks hold ids, RGB masks the colours, exactly.
    Without it grey masks must hold 0..K-1, or 0 and 255. Where there are two classes, 255 stands for 1.

    The split is that of the folders, or of `split.json` ({"train": [stems], "val": ..., "test": ...}), or a fifth each
    for val and test by hash of the stem. Folders without `val/` have it made from `train/`.

    8-bit pictures are used as they are. For 16 bits the window runs from the .5 to the 99.5 percentile of training
    images, as nnU-Net does for CT. A picture is a case of one slice, without spacing.
    """

    kind = "folder"

    def __init__(self, where: str) -> None:
        self.root = Path(where)
        parts = {split: self.root / split for split in SPLITS if (self.root / split / "images").is_dir()}
        if (self.root / "images").is_dir() == bool(parts):
            raise DataError(
                f"{where or '(no path)'} holds {'images/ as well as split folders' if parts else 'no images/'}",
                allowed=LAYOUT,
                hint="--data folder:PATH",
            )
        self._files: dict[str, tuple[Path, Path]] = {}
        given: dict[str, Split] = {}
        for split, part in parts.items():
            found = pairs_in(part)
            if both := sorted(found.keys() & self._files.keys()):
                raise DataError(f"{where}: {', '.join(both[:5])} in {split} and in {given[both[0]]}", hint="remove one")
            self._files |= found
            given |= dict.fromkeys(found, split)
        self._files = self._files or pairs_in(self.root)
        self._splits, guessed = self._split(given)
        self.labels = self._labels()
        self.warning = few_cases_warning(len(self._files)) or (
            "the split is by picture, since nothing says which are of one patient; split.json can" if guessed else None
        )
        self._look()

    def _split(self, given: dict[str, Split]) -> tuple[dict[str, Split], bool]:
        """The split of every stem, and whether it is a guess."""
        path = self.root / "split.json"
        if path.is_file():
            if given:
                raise DataError(f"{path} beside train/, val/ or test/", hint="remove one of the two splits")
            return read_split(path, set(self._files)), False
        if not given:
            return split_by_hash(self._files), True
        if "val" in given.values():
            return given, False
        return split_by_hash(self._files, [one for one, split in given.items() if split == "test"]), True

    def _labels(self) -> tuple[Label, ...]:
        path = self.root / "labels.json"
        return read_labels(path) if path.is_file() else self._infer()

    def _infer(self) -> tuple[Label, ...]:
        """Labels from the values of grey masks.

        Raises:
            DataError: colour masks, or values that are neither 0..K-1 nor 0 and 255.
        """
        values: set[int] = set()
        for _, path in self._files.values():
            try:
                mask = read_raster(path)
            except DataError:
                continue  # `load` reports it
            if mask.ndim == 3:
                raise DataError(f"{path} is in colour, and there is no labels.json", hint=f"write one: {EXAMPLE}")
            values |= set(np.unique(mask).tolist())
        if values == {0, 255}:
            values = {0, 1}
        if values != set(range(max(values, default=0) + 1)) or len(values) < 2:
            shown = ", ".join(map(str, sorted(values)[:8]))
            raise DataError(
                f"the masks of {self.root} hold {shown or 'nothing'}, and there is no labels.json",
                allowed="0..K-1, or 0 and 255",
                hint=f"write one: {EXAMPLE}",
            )
        count = len(values)
        return tuple(Label(i, f"class {i}" if i else "background", _color(i, count)) for i in range(count))

    def _look(self) -> None:
        """Take channels and depth from the first readable picture, and a 16-bit window from the training pictures."""
        first = next(iter(self._readable(self.ids())), None)
        if first is None:
            raise DataError(f"no picture of {self.root} can be read", hint="python -m train data-check")
        self.channels = 1 if first.ndim == 2 else 3
        self.modality = "grey" if first.ndim == 2 else "RGB"
        self.pixel = "uint8" if first.dtype == np.uint8 else "int16"
        self.intensity = RGB if self.channels == 3 else Intensity(0.0, 255.0, (127.5,), (127.5,))
        if self.pixel == "int16":
            train = [one for one in self.ids() if self._splits[one] == "train"] or self.ids()
            some = [train[i] for i in np.unique(np.linspace(0, len(train) - 1, MEASURED).round().astype(int))]
            values = np.concatenate([one.ravel() for one in self._readable(some) if one.ndim == 2])
            low, high = (float(round(v)) for v in np.percentile(values, (0.5, 99.5)))
            high = max(high, low + 1)
            self.intensity = Intensity(low, high, ((low + high) / 2,), ((high - low) / 2,))

    def _readable(self, ids: list[str]) -> Any:
        for one in ids:
            try:
                yield read_raster(self._files[one][0])
            except DataError:
                continue  # `load` reports it

    def ids(self) -> list[str]:
        """Stems of the pictures."""
        return sorted(self._files)

    def split_of(self, case_id: str) -> Split:
        """See the class."""
        return self._splits[case_id]

    def patient_of(self, case_id: str) -> str:
        """Each case is its own patient."""
        return case_id

    def load(self, case_id: str) -> Case:
        """Read one picture with its mask."""
        image_path, mask_path = self._files[case_id]
        image, mask = read_raster(image_path), read_raster(mask_path)
        depth = "uint8" if self.pixel == "uint8" else "uint16"
        if (1 if image.ndim == 2 else 3, str(image.dtype)) != (self.channels, depth):
            raise DataError(
                f"{image_path} is {'grey' if image.ndim == 2 else 'RGB'} {image.dtype}, the first picture is "
                f"{self.modality} {depth}",
                allowed="one kind of picture in a folder",
                hint="convert it, or move it away",
            )
        if image.max() > MOST_INT16:
            raise DataError(
                f"{image_path} has values up to {image.max()}",
                allowed=f"0 to {MOST_INT16}",
                hint="halve all 16-bit pictures, also those the model will be used on",
            )
        return Case(case_id, case_id, image.astype(self.pixel)[None], self._decode(mask, mask_path)[None], None)

    def _decode(self, mask: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
        if mask.ndim == 2:
            ids = np.where(mask == 255, 1, mask) if len(self.labels) == 2 else mask
            return check_labels(path.stem, ids, self.labels)
        codes = mask.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
        label = np.full(codes.shape, len(self.labels), np.uint8)
        for one in self.labels:
            red, green, blue = one.color
            label[codes == (red << 16 | green << 8 | blue)] = one.id
        unknown = label == len(self.labels)
        if unknown.any():
            raise DataError(
                f"{path}: {int(unknown.sum())} pixel(s) of colour(s) outside labels.json, the first "
                f"{tuple(mask[unknown][0].tolist())}",
                allowed=", ".join(f"{one.name} {one.color}" for one in self.labels),
                hint="save masks without smoothing, or add the colour",
            )
        return label


def pairs_in(part: Path) -> dict[str, tuple[Path, Path]]:
    """Stem -> image and mask.

    Raises:
        DataError: no `masks/`, no picture, or a picture without mask or mask without picture.
    """
    if not (part / "masks").is_dir():
        raise DataError(f"{part} has images/ but no masks/", allowed=LAYOUT)
    images, masks = rasters_in(part / "images"), rasters_in(part / "masks")
    alone = [f"images/{one}" for one in sorted(images.keys() - masks.keys())]
    alone += [f"masks/{one}" for one in sorted(masks.keys() - images.keys())]
    if alone:
        shown = ", ".join(alone[:5]) + (" ..." if len(alone) > 5 else "")
        raise DataError(f"{part}: {len(alone)} file(s) without partner: {shown}", hint="a mask of its stem per image")
    if not images:
        raise DataError(f"no picture in {part / 'images'}", allowed=", ".join(RASTERS))
    lossy = [path.name for path in masks.values() if path.suffix.lower() not in LOSSLESS]
    if lossy:
        raise DataError(f"{part / 'masks' / lossy[0]}: JPEG changes label values", allowed=", ".join(LOSSLESS))
    return {stem: (images[stem], masks[stem]) for stem in images}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not JSON ({error})") from error


def read_split(path: Path, stems: set[str]) -> dict[str, Split]:
    """Stem -> split, from `split.json`.

    Raises:
        DataError: not of that form, a stem twice, one without picture, or a picture in no split.
    """
    found = _json(path)
    fits = isinstance(found, dict) and set(found) <= set(SPLITS) and all(isinstance(v, list) for v in found.values())
    if not fits:
        raise DataError(f"{path} is not a split", allowed='{"train": [stems], "val": [stems], "test": [stems]}')
    listed = [str(one) for split in SPLITS for one in found.get(split, [])]
    twice = sorted({one for one in listed if listed.count(one) > 1})
    for wrong, what in (
        (twice, "named twice"),
        (sorted(set(listed) - stems), "named but not in images/"),
        (sorted(stems - set(listed)), "in images/ but in no split"),
    ):
        if wrong:
            raise DataError(f"{path}: {len(wrong)} stem(s) {what}: {', '.join(wrong[:5])}", hint="correct the file")
    return {str(one): split for split in SPLITS for one in found.get(split, [])}


def read_labels(path: Path) -> tuple[Label, ...]:
    """Labels from `labels.json`.

    Raises:
        DataError: not a list of id, name and color, ids that are not 0..K-1, or a colour twice.
    """
    found = _json(path)
    try:
        count = len(found)
        labels = tuple(
            Label(int(one["id"]), str(one["name"]), _checked(one.get("color") or _color(int(one["id"]), count)))
            for one in sorted(found, key=lambda one: int(one["id"]))
        )
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is not a list of labels ({error!r})", allowed=EXAMPLE) from error
    if [one.id for one in labels] != list(range(len(labels))) or not 2 <= len(labels) <= 255:
        raise DataError(f"{path}: ids {[one.id for one in labels][:9]}", allowed="0, 1, 2 ... with background as 0")
    if len({one.color for one in labels}) < len(labels):
        raise DataError(f"{path}: two labels have the same color", allowed="one color per label")
    return labels


def _checked(color: Any) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in color)
    if not all(0 <= v <= 255 for v in (red, green, blue)):
        raise ValueError(f"color {color}")
    return red, green, blue


def _color(index: int, count: int) -> tuple[int, int, int]:
    """Black for background, then evenly spread hues."""
    if not index:
        return 0, 0, 0
    red, green, blue = colorsys.hsv_to_rgb((index - 1) / max(1, count - 1), 0.6, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)
