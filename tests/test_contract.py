from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.errors import ContractError


def test_survives_its_file(contract: Contract, tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_text(contract.to_json(), encoding="utf-8")
    assert Contract.load(path) == contract


def test_equal_contracts_have_equal_bytes(contract: Contract) -> None:
    reordered = contract.with_provenance(b=1, a=2)
    assert reordered.to_json() == contract.with_provenance(a=2, b=1).to_json()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pixel": "uint16"}, "allowed: uint8, int16"),
        ({"resize": "crop"}, "allowed: letterbox, stretch"),
        ({"height": 0}, "positive integers"),
        ({"labels": (Label(0, "background", (0, 0, 0)),)}, "at least one class"),
        ({"labels": (Label(0, "background", (0, 0, 0)), Label(2, "liver", (1, 1, 1)))}, "in order"),
        ({"intensity": Intensity(5.0, 5.0, (0.0,), (1.0,))}, "low < high"),
        ({"intensity": Intensity(0.0, 5.0, (0.0, 0.0), (1.0, 1.0))}, "one std per channel"),
        ({"intensity": Intensity(0.0, 5.0, (0.0,), (0.0,))}, "positive numbers"),
    ],
)
def test_impossible_values_are_refused(contract: Contract, change: dict[str, object], says: str) -> None:
    with pytest.raises(ContractError, match=says):
        replace(contract, **change)  # type: ignore[arg-type]


def test_another_schema_is_refused(contract: Contract) -> None:
    with pytest.raises(ContractError, match="allowed: schema 1"):
        Contract.from_dict({**contract.to_dict(), "schema": 2})


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1}', "\x00"])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "contract.json"
    path.write_text(text)
    with pytest.raises(ContractError) as caught:
        Contract.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_rules_are_spelled_out_for_other_languages(contract: Contract) -> None:
    data = json.loads(contract.to_json())
    assert data["resize"] == {"mode": "letterbox", "filter": "triangle", "half_pixel": True, "round": "half_up"}
    assert data["output"]["to_image"] == "nearest"
