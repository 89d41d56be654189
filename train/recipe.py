"""A recipe: all that decides a training run, as a commented YAML file."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acwskd_edge.data.slices import Augment
from acwskd_edge.errors import ContractError

FOLDER = Path(__file__).parent / "recipes"
OPTIMIZERS = ("adamw", "sgd")


@dataclass
class Recipe:
    """The field comments are the documentation; every field may be set in YAML or with `--set field=value`."""

    data: str = "phantom"  # kind:path, for instance flare22:data/FLARE22 or acdc:data/acdc
    patients: int = 0  # train on so many of the training patients only; 0: all
    model: str = "s2d16"  # a name in acwskd_edge.models.MODELS, or your own: package.module:factory, which is imported
    penultimate: str = ""  # of your own model: the layer whose output the head classifies, by its name in the module
    aux: str = ""  # of your own model: the layer half-way up the decoder, for the auxiliary head; else penultimate
    init: str = ""  # fine-tuning: a finished run of the same model, whose weights training starts from
    objective: dict[str, Any] = field(default_factory=lambda: {"name": "acw_skd"})  # name and its settings
    size: int = 128  # side of the network's grid, pixels; divisible by 16 (unet) or 16 (s2d)
    resize: str = "letterbox"  # or stretch
    steps: int = 2000  # optimiser steps
    batch: int = 8  # slices a step, over all processes
    optimizer: str = "adamw"  # or sgd, with Nesterov momentum .9; it wants its own lr and weight_decay, see recipe unet
    lr: float = 0.008  # falls as (1 - step/steps)^.9
    weight_decay: float = 0.01  # on weights only, not on biases, norms or the temperature; sgd adds it to the gradient
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    precision: str = "bf16"  # autocast of the forward pass: bf16 or fp32; weights and losses stay float32
    validate_every: int = 250  # steps between validations, which choose the best checkpoint
    save_every: int = 100  # steps between checkpoints to resume from
    threads: int = 0  # of a process; 0: all cores, shared by the processes; the same number gives the same weights
    accelerator: str = "auto"  # cpu, cuda, or auto: cuda where there is one; exact to the byte on the cpu alone
    devices: int = 1  # processes on this machine, one per device
    nodes: int = 1  # machines, which share the run folder; MASTER_ADDR, MASTER_PORT, NODE_RANK, torchrun or srun

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every", "save_every", "devices", "nodes"):
            if getattr(self, name) < 1:
                raise ContractError(f"recipe: {name} {getattr(self, name)}", allowed="1 or more")
        if self.patients < 0:
            raise ContractError(f"recipe: patients {self.patients}", allowed="0 (all) or more")
        if self.size < 16 or self.size % 16:
            raise ContractError(f"recipe: size {self.size}", allowed="a multiple of 16")
        choices = {"optimizer": OPTIMIZERS, "precision": ("bf16", "fp32"), "accelerator": ("auto", "cpu", "cuda")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ContractError(f"recipe: {name} {getattr(self, name)!r}", allowed=", ".join(allowed))
        if self.batch % (self.devices * self.nodes):
            raise ContractError(
                f"recipe: batch {self.batch} on {self.devices * self.nodes} processes",
                allowed="a multiple of devices x nodes",
            )
        if not self.lr > 0:
            raise ContractError(f"recipe: lr {self.lr}", allowed="a positive number")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML and JSON."""
        return dataclasses.asdict(self)


def shipped() -> list[str]:
    """Names of the recipes that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_yaml(text: str) -> Any:
    """Plain values of a YAML text; 1e-3 is a number, which YAML 1.1 reads as a word.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    scientific = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", scientific, list("-+0123456789"))
    return yaml.load(text, Loader)  # a SafeLoader


def load_recipe(name: str, overrides: dict[str, Any]) -> Recipe:
    """A shipped recipe by name, or a YAML file by path, with overrides on top.

    Args:
        overrides: field -> value; a dotted name reaches into `objective` and `augment`.
    Raises:
        ContractError: no such recipe, not YAML, an unknown field or a value of the wrong kind.
    """
    from yaml import YAMLError

    path = FOLDER / f"{name}.yaml" if name in shipped() else Path(name)
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"no recipe {name!r}", allowed=f"{', '.join(shipped())}, or a YAML file") from error
    except YAMLError as error:
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
