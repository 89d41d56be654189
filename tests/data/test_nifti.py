from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest

from acwskd_edge.data.nifti import read_volume, write_mask
from acwskd_edge.errors import DataError


@pytest.mark.parametrize("codes", [*itertools.islice(itertools.product("LR", "AP", "IS"), 8), ("S", "L", "A")])
def test_a_mask_returns_to_the_scans_own_frame(tmp_path: Path, codes: tuple[str, str, str]) -> None:
    rng = np.random.default_rng(0)
    ornt = nibabel.orientations.axcodes2ornt(codes)
    voxels = rng.integers(0, 3, (5, 6, 7)).astype(np.uint8)
    affine = np.diag([1.5, 2.0, 4.0, 1.0]) @ nibabel.orientations.inv_ornt_aff(ornt, (5, 6, 7))
    source, out = tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, affine), source)
    volume = read_volume(source)
    write_mask(volume.voxels.astype(np.uint8), source, out)
    written = nibabel.load(out)
    assert np.allclose(written.affine, affine)
    assert np.array_equal(np.asanyarray(written.dataobj), voxels)
    assert written.get_data_dtype() == np.uint8
    assert nibabel.aff2axcodes(volume.affine) == ("L", "P", "S")


def test_equal_masks_give_equal_files(tmp_path: Path) -> None:
    source = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)), source)
    for name in ("a", "b"):
        write_mask(np.ones((5, 4, 3), np.uint8), source, tmp_path / f"{name}.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"allowed: a name ending in \.nii or \.nii\.gz"):
        write_mask(np.zeros((1, 1, 1), np.uint8), tmp_path / "scan.nii", tmp_path / "mask.mha")
