"""FLARE2022: abdominal CT, 13 organs, `images/<case>_0000.nii.gz` and `labels/<case>.nii.gz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from acwskd_edge.contract import Intensity, Label
from acwskd_edge.data.case import Case, Split, check_labels, few_cases_warning, split_by_hash
from acwskd_edge.data.nifti import read_volume
from acwskd_edge.errors import DataError

ORGANS = (
    ("background", (0, 0, 0)),
    ("liver", (221, 132, 82)),
    ("right kidney", (85, 168, 104)),
    ("spleen", (129, 114, 178)),
    ("pancreas", (255, 217, 47)),
    ("aorta", (196, 78, 82)),
    ("inferior vena cava", (76, 114, 176)),
    ("right adrenal", (218, 139, 195)),
    ("left adrenal", (140, 86, 75)),
    ("gallbladder", (102, 194, 165)),
    ("esophagus", (204, 185, 116)),
    ("stomach", (100, 181, 205)),
    ("duodenum", (231, 41, 138)),
    ("left kidney", (27, 158, 119)),
)
PUBLIC_TEST = {"0010", "0014", "0015", "0018", "0020", "0024", "0028", "0040", "0046", "0049"}


class Flare22:
    """Reader of a FLARE2022 folder.

    The ten public test cases are the test split; a fifth of the rest, chosen by hash of the case id, validates.
    Folders with other case names are split 60/20/20 by the same hash. Fewer than three cases: all in every split.
    """

    kind = "flare22"
    labels: tuple[Label, ...] = tuple(Label(i, name, color) for i, (name, color) in enumerate(ORGANS))
    modality = "CT"
    pixel = "int16"
    channels = 1
    intensity = Intensity(low=-160.0, high=240.0, mean=(40.0,), std=(200.0,))

    def __init__(self, where: str) -> None:
        self.root = Path(where)
        images = self.root / "images"
        if not images.is_dir() or not (self.root / "labels").is_dir():
            raise DataError(
                f"{where or '(no path)'} is not a FLARE2022 folder",
                allowed="a folder with images/<case>_0000.nii.gz and labels/<case>.nii.gz",
                hint="--data flare22:FOLDER",
            )
        self._ids = sorted(path.name.removesuffix("_0000.nii.gz") for path in images.glob("*_0000.nii.gz"))
        if not self._ids:
            raise DataError(f"no *_0000.nii.gz in {images}", hint="check the folder")
        self._splits = split_by_hash(self._ids, [f"FLARE22_Tr_{number}" for number in PUBLIC_TEST])
        self.warning = few_cases_warning(len(self._ids))

    def ids(self) -> list[str]:
        """Case names without `_0000.nii.gz`."""
        return self._ids

    def split_of(self, case_id: str) -> Split:
        """See the class."""
        return self._splits[case_id]

    def patient_of(self, case_id: str) -> str:
        """Each case is its own patient."""
        return case_id

    def load(self, case_id: str) -> Case:
        """Read one scan with its label, both on the axial grid, HU as int16."""
        image = read_volume(self.root / "images" / f"{case_id}_0000.nii.gz")
        label = read_volume(self.root / "labels" / f"{case_id}.nii.gz")
        if image.voxels.shape == label.voxels.shape and not np.allclose(image.affine, label.affine, atol=1e-2):
            raise DataError(f"case {case_id}: image and label lie in different places (affines differ)")
        limits = np.iinfo(np.int16)
        voxels = np.clip(np.rint(image.voxels), limits.min, limits.max).astype(np.int16)
        mask = check_labels(case_id, label.voxels, self.labels)
        return Case(case_id, case_id, voxels, mask, image.spacing, image.affine)
