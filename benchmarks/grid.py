"""A sweep's grid, a commented YAML file: methods and seeds -> the runs to train, in the order to train them."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from acwskd_edge.errors import ContractError, UsageError
from acwskd_edge.metrics import RULES, SKIP_EMPTY
from train.recipe import Recipe, load_recipe

FOLDER = Path(__file__).parent / "sweeps"
NAME = re.compile(r"\w[\w.+-]*")  # of a method; it becomes a folder


@dataclass(frozen=True)
class Method:
    """One row of the table: a recipe and what differs from it."""

    name: str
    recipe: str = "student"  # a shipped recipe's name or a YAML file
    seeds: tuple[int, ...] = ()  # default: the grid's
    teacher: str = ""  # another method, whose finished run with the same seed becomes objective.teacher
    fields: dict[str, Any] = field(default_factory=dict)  # recipe field -> value, as `python -m train --set`


@dataclass(frozen=True, eq=False)
class Run:
    """One training: a method with a seed."""

    method: str
    seed: int
    folder: Path
    source: str  # the recipe that `overrides` change
    overrides: dict[str, Any]
    teacher: Path | None = None  # run folder that must be finished first
    cost: float = 0.0  # about how long it takes, in MACs

    def __str__(self) -> str:
        return f"{self.method} seed {self.seed}"

    @property
    def recipe(self) -> Recipe:
        """All its fields."""
        return load_recipe(self.source, self.overrides)

    @property
    def command(self) -> list[str]:
        """What trains it, continues it or recognises it as finished."""
        sets = [word for name, value in self.overrides.items() for word in ("--set", f"{name}={as_yaml(value)}")]
        return [sys.executable, "-m", "train", "--recipe", self.source, "--out", str(self.folder), *sets]

    @property
    def typed(self) -> str:
        """The command as one would type it."""
        return shlex.join(["python", *self.command[1:]])


@dataclass(frozen=True)
class Grid:
    """The field comments are the documentation of a grid file; a method's own keys are those of `Method`."""

    name: str  # of the file
    title: str = ""  # heading of the table
    recipe: str = "student"  # of every method that names none
    common: dict[str, Any] = field(default_factory=dict)  # recipe fields of every run, before a method's own
    seeds: tuple[int, ...] = (0, 1, 2)
    reference: str = ""  # the method that every other one is tested against (default: the first)
    plain: str = ""  # the method that step times and gains are relative to (default: the reference)
    rule: str = SKIP_EMPTY  # for a class that a case lacks: skip-empty or transunet
    methods: tuple[Method, ...] = ()

    def __post_init__(self) -> None:
        names = [one.name for one in self.methods]
        if not names:
            raise ContractError(f"grid {self.name}: no methods", allowed="a list of mappings, each with a name")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ContractError(f"grid {self.name}: method {', '.join(twice)} is there more than once")
        if odd := [name for name in names if not NAME.fullmatch(name)]:
            raise ContractError(f"grid {self.name}: method {odd[0]!r}", allowed="letters, digits and _ + . -")
        if self.rule not in RULES:
            raise ContractError(f"grid {self.name}: rule {self.rule!r}", allowed=", ".join(RULES))
        asked = {"reference": self.reference, "plain": self.plain}
        asked |= {f"teacher of {one.name}": one.teacher for one in self.methods}
        for what, name in asked.items():
            if name and name not in names:
                raise ContractError(f"grid {self.name}: {what}: no method {name!r}", allowed=", ".join(names))
        for one in self.methods:
            if one.teacher and (self[one.teacher].teacher or one.teacher == one.name):
                raise ContractError(f"grid {self.name}: the teacher of {one.name} has a teacher itself")
            if one.teacher and (missing := set(self.seeds_of(one)) - set(self.seeds_of(self[one.teacher]))):
                seeds = ", ".join(map(str, sorted(missing)))
                raise ContractError(f"grid {self.name}: {one.teacher}, the teacher of {one.name}, has no seed {seeds}")

    def __getitem__(self, name: str) -> Method:
        return next(one for one in self.methods if one.name == name)

    def seeds_of(self, method: Method) -> tuple[int, ...]:
        """A method's seeds."""
        return method.seeds or self.seeds

    def model_of(self, name: str) -> str:
        """A method's model; empty for no method."""
        return load_recipe(self[name].recipe, {**self.common, **self[name].fields}).model if name else ""

    def only(self, names: list[str]) -> Grid:
        """The grid of these methods and of the teachers they need.

        Raises:
            UsageError: no such method.
        """
        known = [one.name for one in self.methods]
        if unknown := [name for name in names if name not in known]:
            raise UsageError(f"--only {', '.join(unknown)}", allowed=", ".join(known))
        wanted = {*names, *(self[name].teacher for name in names)}
        kept = tuple(one for one in self.methods if one.name in wanted)
        reference, plain = (name if name in wanted else "" for name in (self.reference, self.plain))
        return replace(self, methods=kept, reference=reference, plain=plain)

    def runs(self, out: Path) -> list[Run]:
        """Every run below `out`: all methods with the first seed, cheap ones first, then with the next.

        Raises:
            ContractError: a field that recipes do not have, or a value of the wrong kind.
        """
        found = []
        for method in self.methods:
            for seed in self.seeds_of(method):
                teacher = folder_of(out, method.teacher, seed) if method.teacher else None
                overrides = {**self.common, **method.fields, "seed": seed}
                if teacher:
                    overrides["objective.teacher"] = str(teacher)
                run = Run(method.name, seed, folder_of(out, method.name, seed), method.recipe, overrides, teacher)
                found.append(replace(run, cost=cost_of(run.recipe, self.model_of(method.teacher))))
        return sorted(found, key=lambda one: (one.seed, one.cost))


def folder_of(out: Path, method: str, seed: int) -> Path:
    """The run folder of a method with a seed."""
    return out / method / f"seed{seed}"


def as_yaml(value: Any) -> str:
    """A value on one line of YAML, as `--set` takes it."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1_000_000)
    return text.removesuffix("...\n").strip()


def cost_of(recipe: Recipe, teacher: str) -> float:
    """MACs of a training, forward and backward, and of its teacher's forward passes; 0 for an unknown model."""
    of_image = 3 * forward_macs(recipe.model, recipe.size) + forward_macs(teacher, recipe.size)
    return float(recipe.steps * recipe.batch * of_image)


@cache
def forward_macs(model: str, size: int) -> int:
    """Of one grey image and two classes: enough to order trainings by."""
    import torch

    from acwskd_edge.models import MODELS, build_model
    from benchmarks.cost import macs

    if model not in MODELS:
        return 0
    with torch.device("meta"):
        return macs(build_model(model, 1, 2), 1, size, size)


def load_grid(name: str) -> Grid:
    """A shipped grid by name, or a YAML file by path.

    Raises:
        ContractError: no such grid, not YAML, an unknown key or a method that is not there.
    """
    import yaml

    shipped = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    path = FOLDER / f"{name}.yaml" if name in shipped else Path(name)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"no grid {name!r}", allowed=f"{', '.join(shipped)}, or a YAML file") from error
    except yaml.YAMLError as error:
        raise ContractError(f"grid {path} is not YAML ({error})") from error
    kinds = {"title": str, "recipe": str, "common": dict, "seeds": list, "reference": str, "plain": str, "rule": str}
    values = checked(values, {**kinds, "methods": list}, f"grid {path}")
    methods = tuple(method_of(one, values, f"grid {path}") for one in values.pop("methods", []))
    return Grid(path.stem, **{**values, "seeds": tuple(values.get("seeds", (0, 1, 2)))}, methods=methods)


def method_of(values: Any, grid: dict[str, Any], source: str) -> Method:
    """A method of a grid file: its own keys, and every other key a recipe field."""
    own: dict[str, type] = {"name": str, "recipe": str, "seeds": list, "teacher": str}
    if not isinstance(values, dict) or "name" not in values:
        raise ContractError(f"{source}: method {values!r}", allowed="a mapping with a name")
    picked = checked({key: value for key, value in values.items() if key in own}, own, f"{source}: {values['name']}")
    recipe = picked.get("recipe", grid.get("recipe", Method.recipe))
    fields = {key: value for key, value in values.items() if key not in own}
    return Method(picked["name"], recipe, tuple(picked.get("seeds", ())), picked.get("teacher", ""), fields)


def checked(values: Any, kinds: dict[str, type], source: str) -> dict[str, Any]:
    """A mapping whose keys are known and whose values are of the right kind."""
    if not isinstance(values, dict):
        raise ContractError(f"{source} is not a mapping", allowed=", ".join(kinds))
    for key, value in values.items():
        if key not in kinds:
            raise ContractError(f"{source}: unknown key {key!r}", allowed=", ".join(kinds))
        if not isinstance(value, kinds[key]):
            raise ContractError(f"{source}: {key} = {value!r}", allowed=f"a {kinds[key].__name__}")
    return values
