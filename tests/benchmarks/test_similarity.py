from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from bench_toys import make_run
from numpy.typing import NDArray
from torch import Tensor

from acwskd_edge.contract import Contract
from acwskd_edge.data.case import Case
from acwskd_edge.errors import UsageError
from acwskd_edge.evaluate import Prepared
from acwskd_edge.models.taps import Tapped, Taps
from benchmarks.similarity import main, measure

LIVER, SPLEEN = (3.0, 4.0), (4.0, 3.0)  # features of the two classes; their cosine is 24/25


class Painted(Tapped):
    """Shows the class itself: the image holds class ids, features are known vectors, a tenth of the liver is missed."""

    feature_channels = [2]  # noqa: RUF012

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        self.norm = contract.intensity

    def taps(self, image: Tensor) -> Taps:
        ids = (image * self.norm.std[0] + self.norm.mean[0]).round().long()[:, 0]
        feature = torch.tensor([(0.0, 1.0), LIVER, SPLEEN])[ids].movedim(-1, 1)
        given = ids.clone()
        given[:, 0, ids[0, 0] == 1] = 2
        return Taps(torch.nn.functional.one_hot(given, 3).movedim(-1, 1).float(), [feature])


def painted(contract: Contract) -> list[Prepared]:
    label = np.zeros((1, contract.height, contract.width), np.uint8)
    label[0, :10, :20] = 1
    label[0, 12:20, :20] = 2
    image: NDArray[np.int16] = label.astype(np.int16)
    return [Prepared(Case("one", "one", image, label, None), image[..., None])]


def test_class_vectors_and_confusion_by_hand(contract: Contract) -> None:
    found = measure("painted", Painted(contract), contract, painted(contract))
    assert found.cosine[1, 2] == pytest.approx(24 / 25)
    assert found.cosine[0] == pytest.approx([1, 4 / 5, 3 / 5])
    assert found.confusion[1] == pytest.approx([0, 0.9, 0.1])
    assert found.confusion[2] == pytest.approx([0, 0, 1])
    assert found.pairs() == [("liver", "spleen", pytest.approx(24 / 25))]


def test_a_class_that_no_case_has_is_left_out(contract: Contract) -> None:
    cases = painted(contract)
    assert cases[0].case.label is not None
    cases[0].case.label[cases[0].case.label == 2] = 0
    found = measure("painted", Painted(contract), contract, cases)
    assert found.pairs() == []
    assert found.to_dict()["confusion"][2] == [None] * 3
    assert found.to_dict()["mean_pair_cosine"] is None


def test_two_runs_are_drawn_side_by_side_with_their_numbers(
    acdc_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [make_run(tmp_path / name, acdc_folder, model=name, toys=()) for name in ("unet8", "s2d16")]
    picture = tmp_path / "both.png"
    monkeypatch.setattr("sys.argv", ["similarity", *map(str, runs), "-o", str(picture)])
    assert main() == 0
    assert "most alike" in capsys.readouterr().out
    assert cv2.imread(str(picture)).shape[1] > 500
    numbers = json.loads(picture.with_suffix(".json").read_text())
    assert [one["run"] for one in numbers["runs"]] == [str(one) for one in runs]
    assert [sum(row) for row in numbers["runs"][0]["confusion"]] == pytest.approx([1] * 4, abs=1e-5)


def test_runs_of_other_labels_are_refused(
    acdc_folder: Path, tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        make_run(tmp_path / "a", acdc_folder, toys=()),
        make_run(tmp_path / "b", acdc_folder, toys=(), labels=contract.labels),
    ]
    monkeypatch.setattr("sys.argv", ["similarity", *map(str, runs), "-o", str(tmp_path / "x.png")])
    with pytest.raises(UsageError, match="know other labels"):
        main()
