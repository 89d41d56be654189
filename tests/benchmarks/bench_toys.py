"""Runs and bundles made in milliseconds: random weights, and artefacts that a fake runtime 'executes' by sleeping."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from acwskd_edge.bundle import Artefact, Golden, seal
from acwskd_edge.contract import Contract, Label
from acwskd_edge.data import cases_in, open_data, split_hash
from acwskd_edge.errors import UsageError
from acwskd_edge.evaluate import prepare
from acwskd_edge.files import sha256, write_atomic, write_json
from acwskd_edge.models import build_model
from train.state import WEIGHTS, save_weights

Measure = Callable[..., dict[str, Any]]
"""(students, baseline, **settings) -> report.json."""


def row(report: dict[str, Any], name: str) -> dict[str, Any]:
    """A row by id."""
    return dict(next(one for one in report["rows"] if one["id"] == name))


@dataclass
class Sleeper:
    """A runtime that takes the seconds its artefact says and finds nothing."""

    seconds: float
    classes: int
    breaks_at: int | None = None  # call after which it raises
    calls: int = 0

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        self.calls += 1
        if self.breaks_at is not None and self.calls > self.breaks_at:
            raise RuntimeError("the delegate\nlost its device")
        time.sleep(self.seconds)
        return np.zeros((1, self.classes, *batch.shape[-2:]), np.float32)


def load(path: Path, threads: int) -> Sleeper:
    """What a runtime module offers.

    A file `0.01` sleeps so many seconds; `0.01 breaks 20` raises after 20 calls; `0.01 kills 1` ends the process.
    """
    if " kills " in path.read_text():
        os.abort()
    try:
        seconds, *breaks = path.read_text().split(" breaks ")
        return Sleeper(float(seconds), 4, int(breaks[0]) if breaks else None)
    except ValueError as error:
        raise UsageError(f"{path.name} cannot be loaded (built for aarch64)", hint="convert it again") from error


@dataclass(frozen=True)
class Toy:
    """An artefact to plant."""

    precision: str = "fp32"
    seconds: float = 0.001
    dice: float = 0.8
    runtime: str = "sleeper"
    rejected: bool = False
    content: str = ""  # of the file, instead of the seconds

    def entry(self, checkpoint: dict[str, float], names: list[str]) -> dict[str, Any]:
        """As convert reports it."""
        target = "coreml" if self.runtime == "coreml-program" else "toy"
        reasons = [f"class {names[0]} 0.9000 -> 0.1000, a drop of 0.8000 > 0.01, <b>worst</b>"] if self.rejected else []
        return {
            "id": f"{target}-{self.precision}",
            "target": target,
            "precision": self.precision,
            "io": "tensor",
            "runtime": self.runtime,
            "argmax_agreement": 1.0,
            "max_logit_error": 0.0,
            "path": f"{target}/{self.precision}.toy",
            "bytes": 1234,
            "dice": {"mean": self.dice, **dict.fromkeys(names, self.dice)},
            "checkpoint_dice": checkpoint,
            "verdict": "rejected" if self.rejected else "passed",
            "reasons": reasons,
        }


def make_run(
    folder: Path,
    acdc: Path,
    *,
    model: str = "unet8",
    toys: tuple[Toy, ...] = (Toy(),),
    labels: tuple[Label, ...] | None = None,
    dice: float = 0.8,
    cases: int | None = None,
) -> Path:
    """A finished run with a sealed bundle; without toys, without one."""
    spec = f"acdc:{acdc}"
    data = open_data(spec)
    labels = labels or data.labels
    provenance = {"data": "acdc", "split_sha256": split_hash(data), "model": model, "steps": 7, "seed": 0}
    facts: dict[str, Any] = {"intensity": data.intensity, "labels": labels, "spacing": None, "intended_use": "tests"}
    contract = Contract(
        f"{model}-toy", "MR", 32, 32, 1, "uint8", "letterbox", **facts, provenance={**provenance, "code": "0+gabc"}
    )
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    save_weights(folder / WEIGHTS, build_model(model, 1, contract.classes), model)
    write_atomic(folder / "contract.json", contract.to_json())
    write_atomic(folder / "recipe.yaml", yaml.safe_dump({"data": spec, "model": model}))
    names = [one.name for one in labels[1:]]
    per_class = dict.fromkeys(names, dice)
    held_out = cases_in(data, "val")
    validation = {"mean_dice": dice, "dice": per_class, "cases": dict.fromkeys(held_out, per_class)}
    write_json(folder / "validation.json", validation)
    if toys:
        make_bundle(folder, contract, toys, held_out[:cases], data)
    return folder


def make_bundle(run: Path, contract: Contract, toys: tuple[Toy, ...], cases: list[str], data: Any) -> None:
    """RUN/bundle."""
    root = run / "bundle"
    validation = json.loads((run / "validation.json").read_text())
    checkpoint = {"mean": validation["mean_dice"], **validation["dice"]}
    entries = [one.entry(checkpoint, list(validation["dice"])) for one in toys]
    artefacts = []
    for toy, entry in zip(toys, entries, strict=True):
        if not toy.rejected:
            write_atomic(root / entry["path"], toy.content or str(toy.seconds))
            artefacts.append(Artefact(*(str(entry[key]) for key in ("target", "precision", "io", "runtime", "path"))))
    one = prepare(data, cases[:1], contract)[0]
    image = one.case.image[0]
    logits = np.zeros((1, contract.classes, contract.height, contract.width), np.float32)
    Golden("slice", image, one.pixels[0], logits, np.zeros(image.shape, np.uint8)).save(root / "golden")
    write_atomic(root / "contract.json", contract.to_json())
    report = {
        "checkpoint": {"sha256": sha256(run / WEIGHTS), **validation},
        "gate": {"max_dice_drop": 0.01, "split": "val", "cases": cases},
        "artefacts": entries,
    }
    write_json(root / "report.json", report)
    seal(root, artefacts)
