"""A recipe: all that decides a training run, as a commented YAML file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acwskd_edge.data.slices import Augment
from acwskd_edge.errors import ContractError

FOLDER = Path(__file__).parent / "recipes"


@dataclass
class Recipe:
    """The field comments are the documentation; every field may be set in YAML or with `--set field=value`."""

    data: str = "phantom"  # kind:path, for instance flare22:data/FLARE22 or acdc:data/acdc
    model: str = "s2d16"  # a name in acwskd_edge.models.MODELS
    objective: dict[str, Any] = field(default_factory=lambda: {"name": "acw_skd"})  # name and its settings
    size: int = 128  # side of the network's grid, pixels; divisible by 16 (unet) or 16 (s2d)
    resize: str = "letterbox"  # or stretch
    steps: int = 2000  # optimiser steps
    batch: int = 8  # slices a step
    lr: float = 0.008  # AdamW; falls as (1 - step/steps)^.9
    weight_decay: float = 0.01  # on weights only, not on biases, norms or the temperature
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    precision: str = "bf16"  # autocast of the forward pass: bf16 or fp32; weights and losses stay float32
    validate_every: int = 250  # steps between validations, which choose the best checkpoint
    save_every: int = 100  # steps between checkpoints to resume from
    threads: int = 0  # 0: all cores; the same number gives the same weights

    def __post_init__(self) -> None:
        for name, least in (("size", 16), ("steps", 1), ("batch", 1), ("validate_every", 1), ("save_every", 1)):
            if getattr(self, name) < least:
                raise ContractError(f"recipe: {name} {getattr(self, name)}", allowed=f"{least} or more")
        if self.size % 16:
            raise ContractError(f"recipe: size {self.size}", allowed="a multiple of 16")
        if self.precision not in ("bf16", "fp32"):
            raise ContractError(f"recipe: precision {self.precision!r}", allowed="bf16, fp32")
        if not self.lr > 0:
            raise ContractError(f"recipe: lr {self.lr}", allowed="a positive number")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML and JSON."""
        return dataclasses.asdict(self)


def shipped() -> list[str]:
    """Names of the recipes that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(name: str, overrides: dict[str, Any]) -> Recipe:
    """A shipped recipe by name, or a YAML file by path, with overrides on top.

    Args:
        overrides: field -> value; a dotted name reaches into `objective` and `augment`.
    Raises:
        ContractError: no such recipe, not YAML, an unknown field or a value of the wrong kind.
    """
    import yaml

    path = FOLDER / f"{name}.yaml" if name in shipped() else Path(name)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"no recipe {name!r}", allowed=f"{', '.join(shipped())}, or a YAML file") from error
    except yaml.YAMLError as error:
        raise ContractError(f"recipe {path} is not YAML ({error})") from error
    if not isinstance(values, dict):
        raise ContractError(f"recipe {path} is not a mapping of fields to values")
    for key, value in overrides.items():
        outer, _, inner = key.partition(".")
        if inner:
            values[outer] = {**(values.get(outer) or {}), inner: value}
        else:
            values[key] = value
    return from_dict(values, str(path))


def from_dict(values: dict[str, Any], source: str) -> Recipe:
    """Check every name and kind.

    Raises:
        ContractError: names the field and what is allowed.
    """
    augment = values.get("augment", {})
    if not isinstance(augment, dict):
        raise ContractError(f"{source}: augment {augment!r}", allowed="a mapping")
    return _build(Recipe, {**values, "augment": _build(Augment, augment, f"{source}: augment")}, source)


def _build(kind: Any, values: dict[str, Any], source: str) -> Any:
    defaults = kind()
    known = {one.name: type(getattr(defaults, one.name)) for one in dataclasses.fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise ContractError(f"{source}: unknown field {name!r}", allowed=", ".join(known))
        fits = isinstance(value, (int, float)) if known[name] is float else isinstance(value, known[name])
        if not fits or (isinstance(value, bool) and known[name] is not bool):
            raise ContractError(f"{source}: {name} = {value!r}", allowed=f"a value of type {known[name].__name__}")
    return kind(**{name: float(v) if known[name] is float else v for name, v in values.items()})
