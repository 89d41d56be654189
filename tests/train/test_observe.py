from __future__ import annotations

import csv
import json
import struct
from pathlib import Path

import cv2
import pytest
from tensorboardX.proto.event_pb2 import Event

from train.observe import Observer, Record


def history(steps: int, norm: float = 2.0) -> list[Record]:
    records: list[Record] = []
    for step in range(10, steps + 1, 10):
        one = {"step": step, "lr": 0.1, "seconds": step / 1000, "peak_mb": 300.0 + step, "loss": 1.0, "seg": 1.0}
        records.append(one | {"temperature": 2.0, "health/norm_feature": norm, "health/dice_main": 0.5})
        if step % 50 == 0:
            records.append({"step": step, "val_dice": 0.5, "val_dice/liver": 0.5, "val_dice/spleen": None})
    return records


def scalars(folder: Path) -> list[tuple[str, int]]:
    """(tag, step) of every scalar in the event files, which are TFRecords: length, its checksum, data, its checksum."""
    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            found += [(value.tag, event.step) for value in event.summary.value]
            data = data[16 + length :]
    return found


def test_every_record_is_in_every_format(tmp_path: Path) -> None:
    observer = Observer(tmp_path, [])
    for one in history(100):
        assert observer.record(one) == []
    observer.save()
    observer.close()
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == history(100)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == [str(step) for step in range(10, 101, 10)]
    assert (rows[4]["val_dice/liver"], rows[4]["val_dice/spleen"], rows[3]["val_dice"]) == ("0.5", "", "")
    found = scalars(tmp_path / "tb")
    assert {"train/loss", "train/lr", "train/temperature", "health/norm_feature", "val_dice/liver"} <= dict(
        found
    ).keys()
    assert json.loads((tmp_path / "cost.json").read_text()) == {"step_ms": 55.0, "peak_mb": 400.0}
    assert cv2.imread(str(tmp_path / "curves.png")) is not None


def test_a_resumed_run_repeats_no_step(tmp_path: Path) -> None:
    killed = Observer(tmp_path, history(50))
    for one in history(90)[6:]:
        killed.record(one)
    killed.events.close()
    resumed = Observer(tmp_path, history(50))
    for one in history(100)[6:]:
        resumed.record(one)
    resumed.close()
    found = scalars(tmp_path / "tb")
    assert len(found) == len(set(found))
    assert [step for tag, step in found if tag == "train/loss"] == list(range(10, 101, 10))


def test_a_collapsing_feature_warns_once_even_over_a_restart(tmp_path: Path) -> None:
    observer = Observer(tmp_path, history(100))
    low = history(120, norm=0.05)[-2:]
    assert observer.record(low[0]) == [
        "warning: step 110: health/norm_feature is 0.05, at first 2: the feature collapses; "
        "next: lower lr or the objective's distillation weights"
    ]
    assert observer.record(low[1]) == []
    observer.events.close()
    again = Observer(tmp_path, observer.history)
    assert again.record({**low[1], "step": 130}) == []
    again.events.close()


@pytest.mark.parametrize(
    "records", [history(10), [{k: v for k, v in one.items() if "/" not in k} for one in history(50)]]
)
def test_a_picture_of_whatever_there_is(tmp_path: Path, records: list[Record]) -> None:
    Observer(tmp_path, records).close()
    assert cv2.imread(str(tmp_path / "curves.png")) is not None
