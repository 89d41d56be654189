from __future__ import annotations

from pathlib import Path

import pytest

from acwskd_edge.distill import build_objective
from acwskd_edge.errors import ContractError
from acwskd_edge.models import MODELS, build_model
from train.__main__ import parse_set
from train.recipe import Recipe, load_recipe, shipped


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_is_valid(name: str) -> None:
    recipe = load_recipe(name, {})
    assert recipe.model in MODELS
    settings = {k: v for k, v in recipe.objective.items() if k != "name"}
    build_objective(recipe.objective["name"], settings, build_model("s2d16", 1, 3), 3)


def test_overrides_reach_inside() -> None:
    recipe = load_recipe("student", {"steps": 7, "objective.aux": 0.1, "augment.flip": True})
    assert (recipe.steps, recipe.objective["aux"], recipe.augment.flip) == (7, 0.1, True)
    assert recipe.objective["name"] == "acw_skd"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"step": 3}, "unknown field 'step'; allowed: data, patients, model"),
        ({"steps": "many"}, "steps = 'many'; allowed: a value of type int"),
        ({"steps": 0}, "allowed: 1 or more"),
        ({"size": 100}, "allowed: a multiple of 16"),
        ({"precision": "int8"}, "allowed: bf16, fp32"),
        ({"accelerator": "tpu"}, "allowed: auto, cpu, cuda"),
        ({"batch": 6, "devices": 2, "nodes": 2}, "batch 6 on 4 processes; allowed: a multiple of devices x nodes"),
        ({"lr": -1}, "allowed: a positive number"),
        ({"augment.blur": 1}, "unknown field 'blur'"),
        ({"augment": 3}, "allowed: a mapping"),
    ],
)
def test_wrong_values_name_what_is_allowed(overrides: dict[str, object], says: str) -> None:
    with pytest.raises(ContractError, match=says):
        load_recipe("student", overrides)


def test_numbers_may_be_written_as_people_write_them(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("lr: 1e-3\nweight_decay: 5E-4\nmodel: 1e3x")
    recipe = load_recipe(str(tmp_path / "r.yaml"), {})
    assert (recipe.lr, recipe.weight_decay, recipe.model) == (0.001, 0.0005, "1e3x")
    assert parse_set("objective.beta=1e-6") == ("objective.beta", 1e-6)


def test_wrong_files_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text("- 1")
    for name, says in (
        ("absent", "allowed: "),
        (str(tmp_path / "a.yaml"), "not YAML"),
        (str(tmp_path / "b.yaml"), "mapping"),
    ):
        with pytest.raises(ContractError, match=says) as caught:
            load_recipe(name, {})
        assert "\n" not in str(caught.value)


def test_whole_numbers_may_stand_for_floats() -> None:
    assert load_recipe("student", {"lr": 1}).lr == 1.0
    assert Recipe(lr=1).to_dict()["lr"] == 1
