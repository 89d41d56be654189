from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from acwskd_edge.errors import ContractError, UsageError
from benchmarks.grid import FOLDER, Grid, load_grid
from train.recipe import load_recipe

GRID = """
common: {data: phantom, model: unet8, size: 32, steps: 100}
seeds: [0, 1]
recipe: plain
reference: own
methods:
  - {name: full, model: unet64, lr: 0.00001}
  - {name: kd, objective: {name: kd, temperature: 4.0}, teacher: full}
  - {name: own, recipe: student, objective.aux: 0}
"""


def grid_of(folder: Path, text: str) -> Grid:
    path = folder / "toy.yaml"
    path.write_text(text)
    return load_grid(str(path))


def test_the_first_seed_comes_first_and_cheap_before_dear(tmp_path: Path) -> None:
    runs = grid_of(tmp_path, GRID).runs(Path("out"))
    assert [str(run) for run in runs] == [f"{name} seed {seed}" for seed in (0, 1) for name in ("own", "kd", "full")]
    assert runs[1].teacher == Path("out/full/seed0")
    assert runs[1].recipe.objective == {"name": "kd", "temperature": 4.0, "teacher": "out/full/seed0"}


def test_a_run_is_its_command(tmp_path: Path) -> None:
    for run in grid_of(tmp_path, GRID).runs(Path("out")):
        words = shlex.split(run.typed)
        sets = [word.split("=", 1) for before, word in pairwise(words) if before == "--set"]
        assert load_recipe(words[4], {name: yaml.safe_load(value) for name, value in sets}) == run.recipe


def test_only_keeps_the_teachers(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, GRID)
    assert [one.name for one in grid.only(["kd"]).methods] == ["full", "kd"]
    with pytest.raises(UsageError, match=r"--only nobody; allowed: full, kd, own"):
        grid.only(["nobody"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("reference: own", "reference: nobody"), "reference: no method 'nobody'; allowed: full, kd, own"),
        (("teacher: full", "teacher: nobody"), "teacher of kd: no method 'nobody'"),
        (("teacher: full", "teacher: kd"), "the teacher of kd has a teacher itself"),
        (("name: full,", "name: full, seeds: [0],"), "full, the teacher of kd, has no seed 1"),
        (("name: own", "name: kd"), "method kd is there more than once"),
        (("name: own", "name: ../own"), "method '../own'; allowed: letters"),
        (("name: own, ", ""), "allowed: a mapping with a name"),
        (("seeds: [0, 1]", "seeds: 3"), "seeds = 3; allowed: a list"),
        (("seeds: [0, 1]", "rule: mean"), "rule 'mean'; allowed: skip-empty, transunet"),
        (("seeds: [0, 1]", "seed: [0, 1]"), "unknown key 'seed'"),
        (("size: 32", "sizes: 32"), "unknown field 'sizes'"),
        (("methods:", "methods: []\nnothing:"), "unknown key 'nothing'"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_trained(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(ContractError) as caught:
        grid_of(tmp_path, GRID.replace(*change)).runs(tmp_path)
    assert message in str(caught.value)


def test_an_absent_grid_names_those_that_are_shipped() -> None:
    shipped = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
    assert "acdc, acdc-10patients" in shipped
    with pytest.raises(ContractError, match=f"{shipped}, or a YAML file"):
        load_grid("nowhere")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_grid_can_be_read(path: Path) -> None:
    grid = load_grid(path.stem)
    assert len(grid.runs(Path("out"))) == sum(len(grid.seeds_of(one)) for one in grid.methods)
