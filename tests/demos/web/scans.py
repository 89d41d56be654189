"""NIfTI files that a port of acwskd_edge/data/nifti.py must read as it does: frames, types, scaling, byte order."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from acwskd_edge.data.nifti import read_volume

SHAPE = (13, 11, 5)
ZOOMS = np.diag([0.8, 1.7, 5.0])


def turned(x: float, y: float, z: float) -> NDArray[np.float64]:
    """Rotation by three angles in radians."""

    def about(axis: int, angle: float) -> NDArray[np.float64]:
        turn = np.eye(3)
        first, second = [one for one in range(3) if one != axis]
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        return turn

    return np.asarray(about(0, x) @ about(1, y) @ about(2, z))


def affine(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """4 x 4, with an offset."""
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = matrix, (3, -40, 7)
    return result


FRAMES = {
    "ras": np.eye(3),
    "lps": np.diag([-1.0, -1.0, 1.0]),
    "sagittal": np.eye(3)[[2, 0, 1]] @ np.diag([1.0, -1.0, 1.0]),
    "coronal": np.eye(3)[[0, 2, 1]] @ np.diag([-1.0, 1.0, 1.0]),
    "oblique": turned(0.4, -0.5, 0.3),
    "very-oblique": turned(0.78, 0.6, -0.7) @ np.diag([1.0, 1.0, -1.0]),
}


def write_scans(folder: Path) -> None:
    """Files, each beside NAME.npy (slices, rows, columns) and NAME.json {"spacing": [row, column]} of `read_volume`."""
    rng = np.random.default_rng(5)
    voxels = rng.integers(-1000, 2000, SHAPE).astype(np.int16)
    for name, frame in FRAMES.items():
        save(nib.Nifti1Image(voxels, affine(frame @ ZOOMS)), folder / f"{name}.nii")
        quaternion = nib.Nifti1Image(voxels, None)
        quaternion.header.set_qform(affine(frame @ ZOOMS), 1)
        quaternion.header["sform_code"] = 0
        save(quaternion, folder / f"{name}-qform.nii.gz")
    bare = nib.Nifti1Image(voxels, None)
    bare.header.set_zooms((0.8, 1.7, 5.0))
    bare.header["sform_code"] = bare.header["qform_code"] = 0
    save(bare, folder / "no-frame.nii")
    frame_ = affine(FRAMES["lps"] @ ZOOMS)
    for dtype in (np.uint8, np.uint16, np.int32, np.float32, np.float64):
        values = np.abs(voxels) if np.dtype(dtype).kind == "u" else voxels / 7
        save(nib.Nifti1Image(values.astype(dtype), frame_), folder / f"{np.dtype(dtype).name}.nii.gz")
    scaled = nib.Nifti1Image(voxels, frame_)
    scaled.header.set_slope_inter(0.37, -12.5)
    save(scaled, folder / "scaled.nii")
    save(nib.Nifti1Image(voxels, frame_, nib.Nifti1Header(endianness=">")), folder / "big-endian.nii")
    save(nib.Nifti1Image(voxels[:2, :3, :2], frame_), folder / "smaller-than-a-header.nii")
    save(nib.Nifti2Image(voxels, frame_), folder / "nifti2.nii.gz")


def save(image: nib.Nifti1Image, path: Path) -> None:
    """Write one file and what Python reads from it."""
    nib.save(image, path)
    volume = read_volume(path)
    stem = path.name.split(".")[0]
    np.save(path.with_name(f"{stem}.npy"), volume.voxels.astype(volume.voxels.dtype.newbyteorder("=")))
    path.with_name(f"{stem}.json").write_text(json.dumps({"spacing": volume.spacing[1:]}))
