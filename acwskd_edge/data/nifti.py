"""NIfTI volumes in and masks out, geometry kept.

Arrays here are (slices, rows, columns) with columns to the patient's left, rows to posterior and slices to superior:
the axial picture radiologists look at. `write_mask` turns a mask back into the frame of the scan it came from.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.errors import DataError, MissingDependency
from acwskd_edge.files import write_atomic

AXIAL = ("L", "P", "S")


@dataclass(frozen=True)
class Volume:
    """A scan on the axial grid."""

    voxels: NDArray[np.generic]  # (D, H, W)
    spacing: tuple[float, float, float]  # mm between slices, rows, columns
    affine: NDArray[np.float64]  # voxel (column, row, slice) of this grid -> mm, RAS


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise MissingDependency("NIfTI files need nibabel", hint="pip install nibabel") from error
    return nibabel


def _open(path: Path) -> Any:
    nib = _nibabel()
    if not path.is_file():
        raise DataError(f"no file {path}", hint="check the path")
    try:
        image = nib.load(path)
        if len(image.shape) != 3:
            raise DataError(f"{path} has shape {image.shape}", allowed="one 3-D volume")
        if min(image.shape) < 1 or abs(np.linalg.det(image.affine[:3, :3])) < 1e-9:
            raise DataError(f"{path} has a singular affine or an empty axis", hint="repair its header")
        return image
    except (nib.filebasedimages.ImageFileError, OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a readable NIfTI file ({error})", hint="copy it again") from error


def _to_axial(affine: NDArray[np.float64]) -> Any:
    nib = _nibabel()
    return nib.orientations.ornt_transform(
        nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(AXIAL)
    )


def read_volume(path: str | Path) -> Volume:
    """Read a scan or a label map.

    Raises:
        DataError: absent, truncated or not 3-D; NaN or infinite voxels.
        MissingDependency: nibabel is not installed.
    """
    nib, path = _nibabel(), Path(path)
    image = _open(path)
    try:
        voxels = np.asanyarray(image.dataobj)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged ({error})", hint="copy it again") from error
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise DataError(f"{path} has NaN or infinite voxels", hint="repair or exclude the scan")
    turn = _to_axial(image.affine)
    affine = image.affine @ nib.orientations.inv_ornt_aff(turn, image.shape)
    axial = nib.orientations.apply_orientation(voxels, turn)
    column, row, between = (float(v) for v in np.linalg.norm(affine[:3, :3], axis=0))
    return Volume(np.ascontiguousarray(axial.transpose(2, 1, 0)), (between, row, column), affine)


def write_mask(mask: NDArray[np.uint8], like: str | Path, out: str | Path) -> None:
    """Write a mask (D, H, W) of the axial grid into the frame of `like`: same shape, same affine.

    Raises:
        DataError: the mask is not of the scan's size, or `out` is not a NIfTI name.
    """
    nib, out = _nibabel(), Path(out)
    if not out.name.endswith((".nii", ".nii.gz")):
        raise DataError(f"output {out}", allowed="a name ending in .nii or .nii.gz")
    scan = _open(Path(like))
    back = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt(AXIAL), nib.orientations.io_orientation(scan.affine)
    )
    voxels = nib.orientations.apply_orientation(mask.transpose(2, 1, 0), back)
    if voxels.shape != scan.shape:
        raise DataError(f"mask of shape {voxels.shape} for a scan of {scan.shape}")
    header = scan.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    image = nib.Nifti1Image(np.ascontiguousarray(voxels), scan.affine, header)
    payload = image.to_bytes()
    if out.name.endswith(".gz"):
        import gzip

        payload = gzip.compress(payload, mtime=0)
    write_atomic(out, payload)
