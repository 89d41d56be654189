"""What a conversion rests on: the finished run and its data, the reference, golden slices and calibration images."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from acwskd_edge import runtimes
from acwskd_edge.bundle import Bundle, Golden, open_bundle
from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet, cases_in, open_data, split_hash
from acwskd_edge.errors import AcwskdError, DataError, UsageError
from acwskd_edge.evaluate import Prepared, prepare
from acwskd_edge.files import sha256
from acwskd_edge.machine import versions
from acwskd_edge.preprocess import mask_of, normalise, to_image
from acwskd_edge.runtimes.torch_eager import TorchRuntime, load_network
from convert.calibration import CALIBRATION, Calibration, choose, refuse_overlap
from convert.gate import Reference, reference_of
from convert.kits import Flags
from convert.ssh import Device
from convert.targets import Target
from train.state import WEIGHTS

GOLDEN_SLICES = 4
LEARNED = 0.5  # mean Dice below which the gate says so

Entry = dict[str, Any]
"""An artefact in report.json."""


@dataclass
class Settings:
    """What the command line chose."""

    targets: list[str]
    precisions: list[str]  # of the targets, or auto: the smallest that passes
    ios: list[str]
    max_dice_drop: float = 0.01  # on the mean and on every class
    cases: int = 0  # validation cases the gate measures on; 0: all
    data: str | None = None  # where the run's data lies now, if it moved
    model: str | None = None  # package.module:factory, if the run's network is the user's own
    on: Device | None = None  # where the engine of target jetson is built, if not here
    flags: Flags = field(default_factory=Flags)  # of an engine's build


def check_run(run: Path) -> None:
    """A run folder whose training is finished."""
    if not run.is_dir():
        raise UsageError(f"no run folder {run}", hint="python -m train --out FOLDER")
    if not (run / "validation.json").is_file():
        raise UsageError(f"{run} is not a finished run", hint=f"rerun its python -m train ... --out {run}")


def run_data(run: Path, contract: Contract, where: str | None) -> DataSet:
    """The data a run was trained on, with the same split.

    Raises:
        DataError: the data there is split otherwise, so validation might overlap with training.
    """
    import yaml

    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    data = open_data(where or recipe["data"])
    if split_hash(data) != contract.provenance.get("split_sha256"):
        raise DataError(
            f"{where or recipe['data']} is not the data {run} was trained on (its split differs)",
            hint="--data kind:path of the same cases",
        )
    return data


class Basis:
    """One run with the command line's choices. What takes time is made when something must be emitted or judged."""

    def __init__(self, run: Path, settings: Settings) -> None:
        self.run, self.settings = run, settings
        self.network, self.contract = load_network(run / WEIGHTS, settings.model)
        self.weights = sha256(run / WEIGHTS)
        self.data = run_data(run, self.contract, settings.data)
        self.previous = self._previous()

    def _previous(self) -> Bundle | None:
        """The bundle that is there, if it came from this very checkpoint and is intact."""
        try:
            bundle = open_bundle(self.run / "bundle")
        except AcwskdError:
            return None
        return bundle if bundle.report.get("checkpoint", {}).get("sha256") == self.weights else None

    @cached_property
    def cases(self) -> list[str]:
        """Validation cases the gate measures on, spread evenly if fewer than all are wanted."""
        ids = cases_in(self.data, "val")
        wanted = self.settings.cases or len(ids)
        places = np.linspace(0, len(ids) - 1, min(wanted, len(ids))).round().astype(int)
        return [ids[i] for i in places]

    @property
    def gate(self) -> dict[str, Any]:
        """What the verdicts of this bundle rest on; one gate for all its artefacts."""
        warning = self.contract.provenance.get("warning")
        return {
            "max_dice_drop": self.settings.max_dice_drop,
            "split": "val",
            "cases": self.cases,
            "hd95_unit": "mm" if self.contract.spacing else "pixels",
            "warning": warning,
        }

    @cached_property
    def runtime(self) -> runtimes.Runtime:
        """The checkpoint itself."""
        shape = (1, self.contract.channels, self.contract.height, self.contract.width)
        return TorchRuntime(self.network, shape, self.run / WEIGHTS)

    @cached_property
    def reference(self) -> Reference:
        """The checkpoint on the gate's cases."""
        reference = reference_of(self.runtime, prepare(self.data, self.cases, self.contract), self.contract)
        if not reference.scores.mean >= LEARNED:
            print(
                f"warning: the checkpoint's own mean Dice is {reference.scores.mean:.3f} on these cases; "
                "that little is lost in conversion says little about a network that has learned little",
                file=sys.stderr,
            )
        return reference

    @cached_property
    def golden(self) -> list[Golden]:
        """Slices with the most classes, from different cases if there are enough; kept by later conversions."""
        if self.previous:
            return self.previous.golden()
        ranked: list[tuple[int, int, int, Prepared]] = []
        for case_index, one in enumerate(self.reference.cases):
            assert one.case.label is not None
            counts = [len(np.unique(piece)) for piece in one.case.label]
            for rank, index in enumerate(sorted(range(len(counts)), key=lambda i: -counts[i])[:GOLDEN_SLICES]):
                ranked.append((rank, case_index, index, one))
        golden = []
        for _, _, index, one in sorted(ranked, key=lambda item: item[:3])[:GOLDEN_SLICES]:
            image, pixels = one.case.image[index], one.pixels[index]
            logits = np.asarray(self.runtime(normalise(pixels, self.contract)), np.float32)
            mask = to_image(mask_of(logits)[0], self.contract, image.shape[0], image.shape[1])
            golden.append(Golden(f"{one.case.id}-{index:03d}", image, pixels, logits, mask))
        return golden

    @cached_property
    def calibration(self) -> Calibration:
        """Training slices, checked against every case that is held out."""
        chosen = choose(self.data, self.contract)
        loaded = {one.case.id: one.case for one in self.reference.cases}
        held_out = [one for one in self.data.ids() if self.data.split_of(one) != "train"]
        refuse_overlap(self.data, chosen, (loaded.get(one) or self.data.load(one) for one in held_out))
        return chosen

    def before(self, what: str) -> Any:
        """A list in the previous bundle's report, empty if there is none."""
        return self.previous.report.get(what, []) if self.previous else []

    def key(self, target: Target, precision: str, io: str, keep: Sequence[str] = ()) -> str:
        """Hash of all that decides an artefact's bytes; an equal key means that it need not be emitted again."""
        facts = [self.weights, self.contract.to_json(), target.name, precision, io, versions(target.packages)]
        return hashlib.sha256(json.dumps([*facts, list(keep), CALIBRATION]).encode()).hexdigest()
