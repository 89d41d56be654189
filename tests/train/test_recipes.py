"""Every shipped recipe trains: two steps on a tiny data set of the kind it names."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from acwskd_edge.contract import Contract
from acwskd_edge.data import phantom
from train.loop import train
from train.recipe import load_recipe, shipped

FOLDERS = {"flare22": "flare_folder", "acdc": "acdc_folder", "synapse": "synapse_folder", "m2caiseg": "m2caiseg_folder"}
CHEAP = {"unet64": "unet8"}
draw_once = cache(phantom.make_patient)


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_trains(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phantom, "make_patient", draw_once)
    recipe = load_recipe(name, {})
    kind = recipe.data.partition(":")[0]
    data = f"{kind}:{request.getfixturevalue(FOLDERS[kind])}" if kind in FOLDERS else "phantom:4"
    small = {"data": data, "size": 32, "batch": 2, "steps": 2, "threads": 1, "accelerator": "cpu"}
    run = train(load_recipe(name, {**small, "model": CHEAP.get(recipe.model, recipe.model)}), tmp_path / "run")
    contract = Contract.load(run / "contract.json")
    assert contract.provenance["data"] == kind
    assert contract.resize == recipe.resize
    assert (contract.spacing is None) == (kind in ("acdc", "synapse", "m2caiseg"))
    assert json.loads((run / "validation.json").read_text())["cases"]


def test_every_data_set_that_must_be_downloaded_has_its_recipe() -> None:
    assert set(FOLDERS) <= set(shipped())
    for kind in FOLDERS:
        assert load_recipe(kind, {}).data.startswith(f"{kind}:")
