"""Ways in which a scan arrives spoilt."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np


def damage(folder: Path, how: str) -> None:
    """Spoil case 0001 of a FLARE2022 folder."""
    image, label = folder / "images/FLARE22_Tr_0001_0000.nii.gz", folder / "labels/FLARE22_Tr_0001.nii.gz"
    scan, truth = nibabel.load(image), nibabel.load(label)
    voxels, ids = np.asanyarray(scan.dataobj).copy(), np.asanyarray(truth.dataobj).copy()
    if how == "truncated":
        image.write_bytes(gzip.compress(gzip.decompress(image.read_bytes())[:-500]))
    elif how == "cut gzip":
        image.write_bytes(image.read_bytes()[:-200])
    elif how == "not a NIfTI":
        image.write_bytes(b"hello")
    elif how == "NaN":
        spoilt = voxels.astype(np.float32)
        spoilt[0, 0, 0] = np.nan
        nibabel.save(nibabel.Nifti1Image(spoilt, scan.affine), image)
    elif how == "label id":
        ids[0, 0, 0] = 99
        nibabel.save(nibabel.Nifti1Image(ids, truth.affine), label)
    elif how == "shape":
        nibabel.save(nibabel.Nifti1Image(ids[1:], truth.affine), label)
    elif how == "place":
        nibabel.save(nibabel.Nifti1Image(ids, truth.affine + np.diag([0, 0, 1, 0])), label)
    elif how == "four axes":
        nibabel.save(nibabel.Nifti1Image(voxels[..., None], scan.affine), image)
    elif how == "no label":
        label.unlink()
