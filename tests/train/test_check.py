"""`python -m train data-check`: everything that is wrong, in one go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import nibabel
import numpy as np
import pytest
from disk import write_flare, write_pictures
from spoil import damage

from acwskd_edge.errors import DataError, UsageError
from train.check import main


def check(spec: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed; the command must find nothing wrong."""
    assert main(["--data", spec]) == 0
    return capsys.readouterr().out


def wrong(spec: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines about what is wrong."""
    with pytest.raises(DataError, match=r"thing\(s\) wrong .*, listed above; next: ") as caught:
        main(["--data", spec])
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("wrong: ")]
    assert str(caught.value).startswith(f"{len(found)} thing(s)")
    return found


@pytest.mark.parametrize("kind", ["flare22", "acdc", "synapse", "m2caiseg"])
def test_a_good_folder_is_described_and_the_next_command_named(
    kind: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = request.getfixturevalue({"flare22": "flare_folder"}.get(kind, f"{kind}_folder"))
    text = check(f"{kind}:{folder}", capsys)
    assert text.endswith(f"next: python -m train --recipe {kind} --data {kind}:{folder}\n")
    assert ("mm between slices" in text) == (kind == "flare22")


def test_cases_voxels_and_intensities_are_counted(acdc_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voxels = 0
    for path in acdc_folder.iterdir():
        with h5py.File(path) as volume:
            voxels += int((volume["label"][:] == 3).sum())
    text = check(f"acdc:{acdc_folder}", capsys)
    assert "window 0 to 255: 0.0% of the pixels below, 0.0% above" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["train", "6", "3", "24"] in lines
    assert ["val", "2", "1", "8"] in lines
    (row,) = [line for line in lines if line[:3] == ["3", "left", "ventricle"]]
    assert row[3] == f"{voxels:,}"
    assert row[5:] == ["6", "2", "2"]


def test_it_goes_on_after_a_broken_case_and_lists_them_all(
    flare_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(flare_folder, "label id")
    (flare_folder / "images/FLARE22_Tr_0003_0000.nii.gz").write_bytes(b"hello")
    (flare_folder / "labels/FLARE22_Tr_0004.nii.gz").unlink()
    found = wrong(f"flare22:{flare_folder}", capsys)
    assert [next(n for n in ("0001", "0003", "0004") if n in line) for line in found[:3]] == ["0001", "0003", "0004"]


def test_one_image_in_two_splits_is_a_leak(acdc_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (acdc_folder / "patient004_frame01.h5").write_bytes((acdc_folder / "patient001_frame01.h5").read_bytes())
    (line,) = wrong(f"acdc:{acdc_folder}", capsys)
    assert line.endswith("patient004_frame01 (test) has the very image of patient001_frame01 (train): a leak")


def test_another_unit_than_the_windows_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, 7):
        write_flare(tmp_path, f"case_{number}", number)
    path = tmp_path / "images/case_2_0000.nii.gz"
    scan = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image((np.asanyarray(scan.dataobj) > 0).astype(np.int16), scan.affine), path)
    found = wrong(f"flare22:{tmp_path}", capsys)
    assert found == [
        "wrong: case case_2: values from 0 to 1 span almost nothing of the window, -160 to 240 HU: another unit, or an "
        "empty picture"
    ]


def test_a_class_without_training_case_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path)
    split = {"train": ["p0", "p1", "p2"], "val": ["p3"], "test": ["p4", "p5"]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    for stem in split["train"]:
        path = str(tmp_path / f"masks/{stem}.png")
        cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_UNCHANGED) % 2)
    assert wrong(f"folder:{tmp_path}", capsys) == ["wrong: class 2: in no training case, so it cannot be learned"]


def test_few_cases_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_flare(tmp_path, "case_a", 1)
    text = check(f"flare22:{tmp_path}", capsys)
    assert "note: 1 case(s) only" in text
    assert "note: esophagus: in no case" in text


def test_mistakes_on_the_command_line_are_one_clear_line() -> None:
    with pytest.raises(UsageError, match="arguments are required: --data"):
        main([])
    with pytest.raises(UsageError, match="unknown data kind 'x' in --data x:y; allowed: phantom"):
        main(["--data", "x:y"])


def test_help_imports_nothing_heavy() -> None:
    code = "import sys\nsys.modules['numpy'] = sys.modules['yaml'] = None\nimport train.__main__ as t\nt.main()"
    words = [sys.executable, "-c", code, "data-check", "--help"]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "examples:" in done.stdout
