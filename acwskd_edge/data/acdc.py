"""ACDC: cardiac cine MRI packed as one h5 file per phase, `patientNNN_frameMM.h5` with `image` and `label`."""

from __future__ import annotations

import re
from pathlib import Path

from acwskd_edge.contract import Intensity, Label
from acwskd_edge.data.case import Case, Split, check_labels
from acwskd_edge.data.hdf5 import read_h5
from acwskd_edge.errors import DataError

NAME = re.compile(r"(patient(\d{3}))_frame\d{2}$")
REPEATED = "patient076"  # both its volumes have the very images of patient074, which tests


class Acdc:
    """Reader of a folder of packed ACDC volumes (slices, H, W), uint8, min-max normalised per volume.

    The fixed split: patient number mod 5 = 4 tests, mod 5 = 3 validates, the rest trains; the one patient of the pack
    who would train on a test patient's images is left out. The pack has no spacing, so distances are in pixels. Cite
    Bernard et al., IEEE TMI 2018.
    """

    kind = "acdc"
    labels: tuple[Label, ...] = (
        Label(0, "background", (0, 0, 0)),
        Label(1, "right ventricle", (76, 114, 176)),
        Label(2, "myocardium", (85, 168, 104)),
        Label(3, "left ventricle", (196, 78, 82)),
    )
    modality = "MR"
    pixel = "uint8"
    channels = 1
    intensity = Intensity(low=0.0, high=255.0, mean=(64.0,), std=(64.0,))
    warning: str | None = None

    def __init__(self, where: str) -> None:
        self.root = Path(where)
        if not self.root.is_dir():
            raise DataError(f"no folder {where or '(no path)'}", hint="--data acdc:FOLDER")
        found = sorted(path.stem for path in self.root.glob("patient*_frame*.h5") if NAME.match(path.stem))
        self._ids = [one for one in found if not one.startswith(REPEATED)]
        if not self._ids:
            raise DataError(f"no ACDC volumes in {where}", allowed="patientNNN_frameMM.h5")

    def ids(self) -> list[str]:
        """`patientNNN_frameMM`, two phases a patient."""
        return self._ids

    def split_of(self, case_id: str) -> Split:
        """By patient number; see the class."""
        found = NAME.match(case_id)
        rest = int(found[2]) % 5 if found else 0
        return "test" if rest == 4 else "val" if rest == 3 else "train"

    def patient_of(self, case_id: str) -> str:
        """The name before `_frame`; two cases are one patient's."""
        return case_id.split("_")[0]

    def load(self, case_id: str) -> Case:
        """Read one volume."""
        image, label = read_h5(self.root / f"{case_id}.h5", "image", "label")
        return Case(case_id, self.patient_of(case_id), image, check_labels(case_id, label, self.labels), None)
