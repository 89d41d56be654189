"""M2caiSeg: laparoscopy frames, 19 classes, `{train,test}/images/*.jpg` and `groundtruth/<stem>_gt.png` in colour."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Label
from acwskd_edge.data.case import Case, Split, few_cases_warning, split_by_hash
from acwskd_edge.data.raster import RGB, rasters_in, read_raster
from acwskd_edge.errors import DataError

PALETTE = (
    ("unknown", (170, 0, 85)),
    ("grasper", (0, 85, 170)),
    ("bipolar", (0, 85, 255)),
    ("hook", (0, 170, 85)),
    ("scissors", (0, 255, 85)),
    ("clipper", (0, 255, 170)),
    ("irrigator", (85, 0, 170)),
    ("specimen-bag", (85, 0, 255)),
    ("trocars", (170, 85, 85)),
    ("clip", (170, 170, 170)),
    ("liver", (85, 170, 0)),
    ("gall-bladder", (85, 170, 255)),
    ("fat", (85, 255, 0)),
    ("upperwall", (85, 255, 170)),
    ("artery", (170, 0, 255)),
    ("intestine", (255, 0, 255)),
    ("bile", (255, 255, 0)),
    ("blood", (255, 0, 0)),
    ("black", (0, 0, 0)),
)
HOOK = 3
SHADES = (*(color for _, color in PALETTE), (0, 170, 255))  # the last: the hook in other published lists
NEAR = 42.0  # half the least distance between two shades: below it the nearest is certain
MOST_FAR = 0.05  # share of a mask's pixels that may be farther, as on smoothed edges


class M2caiSeg:
    """Reader of the M2caiSeg folder. A frame is a case of one slice (1, H, W, 3), uint8, without spacing.

    `test/` tests; a fifth of `train/`, chosen by hash of the frame's name, validates. `trainval/` is train and test
    together, so it is never read. Masks are decoded by nearest palette colour; a mask of another size than its frame
    is resized by nearest neighbour. Class 0, `unknown`, stands where other sets have background.
    """

    kind = "m2caiseg"
    labels: tuple[Label, ...] = tuple(Label(i, name, color) for i, (name, color) in enumerate(PALETTE))
    modality = "RGB"
    pixel = "uint8"
    channels = 3
    intensity = RGB

    def __init__(self, where: str) -> None:
        self.root = Path(where)
        if self.root.resolve().name == "trainval" or (self.root / "images").is_dir():
            raise DataError(
                f"{where} is one part of M2caiSeg; trainval is train and test together, so a score on it leaks",
                allowed="the folder that holds train/ and test/",
                hint=f"--data m2caiseg:{self.root.resolve().parent}",
            )
        self._files: dict[str, tuple[Path, Path]] = {}
        tests: set[str] = set()
        for part in ("train", "test"):
            images, masks = self.root / part / "images", self.root / part / "groundtruth"
            if not images.is_dir() or not masks.is_dir():
                raise DataError(
                    f"{where or '(no path)'} is not the M2caiSeg folder: no {part}/images or {part}/groundtruth",
                    allowed="{train,test}/images/<frame>.jpg and {train,test}/groundtruth/<frame>_gt.png",
                    hint="--data m2caiseg:FOLDER",
                )
            found = rasters_in(images)
            if both := sorted(found.keys() & self._files.keys()):
                raise DataError(f"{where}: frame(s) {', '.join(both[:5])} in train and in test", hint="remove one copy")
            self._files |= {stem: (path, masks / f"{stem}_gt.png") for stem, path in found.items()}
            tests |= found.keys() if part == "test" else set()
        if not tests or len(tests) == len(self._files):
            raise DataError(f"no frames in {self.root / ('train' if tests else 'test') / 'images'}")
        self._splits = split_by_hash(self._files, tests)
        self.warning = few_cases_warning(len(self._files)) or (
            "M2caiSeg does not say which frames are of one operation: training and validation may share some, so only "
            "test figures are comparable"
        )

    def ids(self) -> list[str]:
        """Names of the frames."""
        return sorted(self._files)

    def split_of(self, case_id: str) -> Split:
        """See the class."""
        return self._splits[case_id]

    def patient_of(self, case_id: str) -> str:
        """A frame stands alone: the names do not tell which belong together."""
        return case_id

    def load(self, case_id: str) -> Case:
        """Read one frame."""
        image_path, mask_path = self._files[case_id]
        image, mask = read_raster(image_path), read_raster(mask_path)
        for path, found in ((image_path, image), (mask_path, mask)):
            if found.ndim != 3:
                raise DataError(f"{path} is grey", allowed="RGB")
        height, width = image.shape[:2]
        label = decode(mask, case_id)
        if label.shape != (height, width):
            ratio = (label.shape[0] * width) / (label.shape[1] * height)
            if not 0.98 < ratio < 1.02:
                raise DataError(f"case {case_id}: image is {image.shape[:2]} but mask is {label.shape}, another shape")
            label = np.asarray(cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
        return Case(case_id, case_id, image[None], label[None], None)


def decode(mask: NDArray[np.generic], case_id: str) -> NDArray[np.uint8]:
    """Colour mask (H, W, 3) -> label ids (H, W), each pixel by the nearest palette colour.

    Raises:
        DataError: too many pixels are far from every colour.
    """
    codes = mask.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    seen, where, count = np.unique(codes, return_inverse=True, return_counts=True)
    colors = np.stack([seen >> 16, seen >> 8 & 255, seen & 255], axis=1)
    distance = np.linalg.norm(colors[:, None] - np.array(SHADES)[None], axis=2)
    far = distance.min(axis=1) >= NEAR
    if count[far].sum() > MOST_FAR * codes.size:
        worst = colors[far][np.argmax(count[far])]
        raise DataError(
            f"case {case_id}: {count[far].sum() / codes.size:.0%} of the mask is far from every palette colour, "
            f"mostly ({', '.join(map(str, worst))})",
            allowed=", ".join(f"{name} {color}" for name, color in PALETTE),
        )
    ids = np.array([*range(len(PALETTE)), HOOK], np.uint8)[distance.argmin(axis=1)]
    return ids[where].reshape(codes.shape)
