from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_contract import DataSetContract
from disk import write_pictures

from acwskd_edge.data import DataSet, cases_in, open_data
from acwskd_edge.errors import DataError


class TestGreyFolder(DataSetContract):
    @pytest.fixture
    def data(self, tmp_path: Path) -> DataSet:
        return open_data(f"folder:{write_pictures(tmp_path)}")


class TestDeepGreyFolder(DataSetContract):
    @pytest.fixture
    def data(self, tmp_path: Path) -> DataSet:
        return open_data(f"folder:{write_pictures(tmp_path, depth='uint16')}")


class TestColourFolder(DataSetContract):
    @pytest.fixture
    def data(self, tmp_path: Path) -> DataSet:
        return open_data(f"folder:{write_pictures(tmp_path, color=True)}")


def split_folders(root: Path, **counts: int) -> Path:
    """`train/images`, ... with stems that differ."""
    for index, (split, count) in enumerate(counts.items()):
        part = write_pictures(root / split, count=count)
        for path in [*part.glob("images/*"), *part.glob("masks/*")]:
            path.replace(path.with_name(f"{index}{path.name}"))
    return root


def test_ids_names_and_colours_come_from_labels_json(tmp_path: Path) -> None:
    data = open_data(f"folder:{write_pictures(tmp_path, color=True)}")
    assert [(one.name, one.color) for one in data.labels] == [
        ("c0", (0, 0, 0)),
        ("c1", (255, 0, 0)),
        ("c2", (0, 0, 255)),
    ]
    red = cv2.imread(str(tmp_path / "masks/p0.png"))[..., 2] == 255
    case = data.load("p0")
    assert case.label is not None
    assert np.array_equal(case.label[0] == 1, red)
    assert case.image[0, ..., 0].astype(int).sum() > case.image[0, ..., 2].astype(int).sum(), "red first"


def test_0_and_255_are_background_and_the_one_class(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(mask, 255, 0).astype(np.uint8))
    data = open_data(f"folder:{tmp_path}")
    assert [one.id for one in data.labels] == [0, 1]
    assert set(np.unique(data.load("p0").label)) == {0, 1}  # type: ignore[arg-type]


def test_a_16_bit_window_comes_from_the_training_pictures(tmp_path: Path) -> None:
    data = open_data(f"folder:{write_pictures(tmp_path, depth='uint16')}")
    values = np.concatenate([data.load(one).image.ravel() for one in cases_in(data, "train")])
    assert (data.intensity.low, data.intensity.high) == tuple(np.round(np.percentile(values, (0.5, 99.5))))


def test_the_split_of_the_folders_is_kept(tmp_path: Path) -> None:
    data = open_data(f"folder:{split_folders(tmp_path, train=3, val=1, test=2)}")
    assert [len(cases_in(data, split)) for split in ("train", "val", "test")] == [3, 1, 2]
    assert data.warning is None


def test_validation_is_made_from_training_where_there_is_none(tmp_path: Path) -> None:
    data = open_data(f"folder:{split_folders(tmp_path, train=5, test=2)}")
    assert [len(cases_in(data, split)) for split in ("train", "val", "test")] == [4, 1, 2]
    assert all(one.startswith("1") for one in cases_in(data, "test"))


def test_split_json_decides(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    assert "split.json can" in str(open_data(f"folder:{tmp_path}").warning)
    split = {"train": ["p0", "p1", "p2"], "val": ["p3"], "test": ["p4", "p5"]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    data = open_data(f"folder:{tmp_path}")
    assert {name: cases_in(data, name) for name in split} == split  # type: ignore[arg-type]
    assert data.warning is None


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ("{", "is not JSON"),
        ('{"training": []}', "is not a split"),
        ('{"train": ["p0", "p1", "p2", "p3", "p4", "p5"], "val": ["p0"]}', r"1 stem\(s\) named twice: p0"),
        ('{"train": ["p0", "p1", "p2", "p3", "p4", "p5", "p6"]}', "named but not in images/: p6"),
        ('{"train": ["p0", "p1", "p2", "p3", "p4"]}', "in images/ but in no split: p5"),
    ],
)
def test_a_wrong_split_json_is_one_clear_line(tmp_path: Path, split: str, says: str) -> None:
    (write_pictures(tmp_path) / "split.json").write_text(split)
    with pytest.raises(DataError, match=says):
        open_data(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("[", "is not JSON"),
        ('{"a": 1}', "not a list of labels"),
        ('[{"id": 0}]', "not a list of labels"),
        ('[{"id": 0, "name": "a"}]', "allowed: 0, 1, 2"),
        ('[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]', "allowed: 0, 1, 2"),
        ('[{"id": 0, "name": "a", "color": [0, 0]}, {"id": 1, "name": "b"}]', "not a list of labels"),
        ('[{"id": 0, "name": "a", "color": [9, 9, 9]}, {"id": 1, "name": "b", "color": [9, 9, 9]}]', "same color"),
    ],
)
def test_a_wrong_labels_json_is_one_clear_line(tmp_path: Path, labels: str, says: str) -> None:
    (write_pictures(tmp_path) / "labels.json").write_text(labels)
    with pytest.raises(DataError, match=says) as caught:
        open_data(f"folder:{tmp_path}")
    assert "\n" not in str(caught.value)


def spoil(root: Path, how: str) -> None:
    """Spoil picture p1, or the folder."""
    image, mask = root / "images/p1.png", root / "masks/p1.png"
    grey = cv2.imread(str(image), cv2.IMREAD_UNCHANGED)
    if how == "unpaired":
        mask.unlink()
        (root / "masks/q.png").write_bytes(b"")
    elif how == "twins":
        cv2.imwrite(str(image.with_suffix(".tif")), grey)
    elif how == "lossy mask":
        mask.unlink()
        cv2.imwrite(str(mask.with_suffix(".jpg")), grey)
    elif how == "unknown value":
        cv2.imwrite(str(mask), np.full(grey.shape, 7, np.uint8))
    elif how == "colour mask":
        cv2.imwrite(str(mask), np.stack([grey] * 3, axis=-1) // 2 * (0, 1, 2))
    elif how == "sizes":
        cv2.imwrite(str(image), grey[:10])
    elif how == "mixed":
        cv2.imwrite(str(image), np.stack([grey, grey // 2, grey], axis=-1))
    elif how == "depth":
        cv2.imwrite(str(image), grey.astype(np.uint16) * 100)
    elif how == "pages":
        image.unlink()
        cv2.imwritemulti(str(image.with_suffix(".tif")), [grey, grey])
    elif how == "empty file":
        image.write_bytes(b"")
    elif how == "cut":
        image.write_bytes(image.read_bytes()[:200])
    elif how == "no masks":
        (root / "masks").rename(root / "labels")
    elif how == "both layouts":
        write_pictures(root / "train")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("unpaired", r"2 file\(s\) without partner: images/p1, masks/q"),
        ("twins", "have the same stem"),
        ("lossy mask", "p1.jpg: JPEG changes label values"),
        ("unknown value", r"hold 0, 1, 2, 7, .*allowed: 0..K-1, or 0 and 255; next: write one"),
        ("colour mask", "p1.png is in colour, and there is no labels.json; next: write one"),
        ("sizes", r"image is \(1, 10, 32\) but label is \(1, 24, 32\)"),
        ("mixed", "p1.png is RGB uint8, the first picture is grey uint8"),
        ("depth", "p1.png is grey uint16, the first picture is grey uint8"),
        ("pages", "p1.tif has 2 pages; allowed: one"),
        ("empty file", "not a readable picture"),
        ("cut", "not a readable picture"),
        ("no masks", "has images/ but no masks/"),
        ("both layouts", "holds images/ as well as split folders"),
    ],
)
def test_a_spoilt_folder_is_one_clear_line(tmp_path: Path, how: str, says: str) -> None:
    spoil(write_pictures(tmp_path), how)
    with pytest.raises(DataError, match=says) as caught:
        open_data(f"folder:{tmp_path}").load("p1")
    assert "\n" not in str(caught.value)


def test_an_unknown_colour_is_named(tmp_path: Path) -> None:
    mask = write_pictures(tmp_path, color=True) / "masks/p1.png"
    found = cv2.imread(str(mask))
    found[0, 0] = (3, 2, 1)
    cv2.imwrite(str(mask), found)
    with pytest.raises(DataError, match=r"1 pixel\(s\) .* the first \(1, 2, 3\); allowed: c0 \(0, 0, 0\)"):
        open_data(f"folder:{tmp_path}").load("p1")


def test_an_unknown_id_is_named(tmp_path: Path) -> None:
    (write_pictures(tmp_path) / "labels.json").write_text('[{"id": 0, "name": "back"}, {"id": 1, "name": "polyp"}]')
    with pytest.raises(DataError, match=r"label value\(s\) 2 outside the label map; allowed: 0 back, 1 polyp"):
        open_data(f"folder:{tmp_path}").load("p1")


def test_values_the_contract_cannot_hold_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, depth="uint16")
    cv2.imwrite(str(tmp_path / "images/p1.png"), np.full((24, 32), 40000, np.uint16))
    with pytest.raises(DataError, match="up to 40000; allowed: 0 to 32767"):
        open_data(f"folder:{tmp_path}").load("p1")
