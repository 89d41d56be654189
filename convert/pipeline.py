"""RUN -> bundle: emit each artefact, execute it, let the gate judge it, seal what passed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import textwrap
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from acwskd_edge import runtimes
from acwskd_edge.bundle import Artefact, Bundle, Golden, open_bundle, seal
from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet, cases_in, open_data, split_hash
from acwskd_edge.errors import AcwskdError, DataError, GateError, UsageError
from acwskd_edge.evaluate import Prepared, prepare
from acwskd_edge.files import new_folder, only_writer, sha256, write_atomic, write_json
from acwskd_edge.preprocess import mask_of, normalise, to_image
from acwskd_edge.runtimes.torch_eager import load_network
from convert.export import Job
from convert.gate import Reference, measure, reference_of
from convert.machine import machine, versions
from convert.targets import Target, find_target
from train.state import WEIGHTS

CALIBRATION_SLICES = 32
GOLDEN_SLICES = 4
LEARNED = 0.5  # mean Dice below which the gate says so


@dataclass
class Settings:
    """What the command line chose."""

    targets: list[str]
    precisions: list[str]
    ios: list[str]
    max_dice_drop: float = 0.01  # on the mean and on every class
    cases: int = 0  # validation cases the gate measures on; 0: all
    data: str | None = None  # where the run's data lies now, if it moved


def convert(run: Path, settings: Settings) -> Path:
    """Convert a finished run; returns the bundle's folder.

    Raises:
        UsageError: not a finished run, an unknown target, an illegal precision, a missing tool.
        GateError: at least one artefact was refused; the others are in the bundle.
    """
    plan = [(find_target(name), p, io) for name in settings.targets for p in settings.precisions for io in settings.ios]
    for target, precision, _ in plan:
        target.preflight(precision)
    check_run(run)
    with only_writer(run):
        torch.set_num_threads(os.cpu_count() or 1)
        work = Workshop(run, settings)
        with new_folder(run / "bundle") as folder:
            rejected = work.fill(folder, plan)
    print(f"{run / 'bundle'} is sealed; next: acwskd-edge verify {run / 'bundle'}")
    if rejected:
        raise GateError(
            f"{len(rejected)} artefact(s) refused: " + "; ".join(rejected),
            hint=f"a higher precision, or --max-dice-drop above {settings.max_dice_drop}; see {run / 'rejected'}",
        )
    return run / "bundle"


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


Plan = list[tuple[Target, str, str]]


class Workshop:
    """One conversion. Data, reference and golden vectors are made when something must be emitted or judged."""

    def __init__(self, run: Path, settings: Settings) -> None:
        self.run, self.settings = run, settings
        self.network, self.contract = load_network(run / WEIGHTS)
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
            "warning": warning,
        }

    @cached_property
    def runtime(self) -> runtimes.Runtime:
        """The checkpoint itself."""
        return runtimes.load("torch", self.run / WEIGHTS, torch.get_num_threads())

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
    def calibration(self) -> dict[str, NDArray[np.generic]]:
        """`<case>-<slice>` -> pixels of training slices, spread evenly over the training cases; never others."""
        ids = cases_in(self.data, "train")
        chosen = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, CALIBRATION_SLICES).round().astype(int))]
        share = -(-CALIBRATION_SLICES // len(chosen))
        pixels: dict[str, NDArray[np.generic]] = {}
        for one in prepare(self.data, chosen, self.contract):
            places = np.unique(np.linspace(0, len(one.pixels) - 1, share + 2).round().astype(int)[1:-1])
            pixels |= {f"{one.case.id}-{i:03d}": one.pixels[i] for i in places}
        return pixels

    def key(self, target: Target, precision: str, io: str) -> str:
        """Hash of all that decides an artefact's bytes; an equal key means that it need not be emitted again."""
        facts = [self.weights, self.contract.to_json(), target.name, precision, io, versions(target.packages)]
        return hashlib.sha256(json.dumps([*facts, CALIBRATION_SLICES]).encode()).hexdigest()

    def fill(self, folder: Path, plan: Plan) -> list[str]:
        """Write a whole bundle into `folder`; returns the refused among the planned, with their reasons.

        What an earlier conversion emitted is kept, and judged again if the gate has changed since.
        """
        old = {entry["id"]: entry for entry in self.previous.report["artefacts"]} if self.previous else {}
        same_gate = self.previous is not None and self.previous.report["gate"] == self.gate
        wanted = dict.fromkeys(plan)
        wanted |= dict.fromkeys((find_target(e["target"]), e["precision"], e["io"]) for e in old.values())
        entries, passed = [], []
        for target, precision, io in wanted:
            artefact = Artefact(target.name, precision, io, target.runtime, "")
            entry = old.get(artefact.id)
            if entry and (target, precision, io) in plan and entry["key"] != self.key(target, precision, io):
                entry = None
            entry = self.provide(folder, artefact, target, entry, same_gate)
            entries.append(entry)
            if entry["verdict"] == "passed":
                passed.append(replace(artefact, path=entry["path"]))
        for one in self.golden:
            one.save(folder / "golden")
        self.write_report(folder, entries)
        seal(folder, passed)
        planned = {Artefact(t.name, p, io, t.runtime, "").id for t, p, io in plan}
        return [
            f"{entry['id']} ({', '.join(entry['reasons'])})"
            for entry in entries
            if entry["id"] in planned and entry["verdict"] == "rejected"
        ]

    def provide(
        self, folder: Path, artefact: Artefact, target: Target, old: dict[str, Any] | None, same_gate: bool
    ) -> dict[str, Any]:
        """One artefact, by the least work: keep it, judge it again, or emit it; returns its entry."""
        if old and same_gate:
            if old["verdict"] == "passed":
                self.carry_over(folder, old["path"])
            print(f"{artefact.id:<18} up to date ({old['verdict']})")
            return old
        (folder / target.name).mkdir(exist_ok=True)
        if old and old["verdict"] == "passed":
            path, facts = (
                self.carry_over(folder, old["path"]),
                {k: old[k] for k in ("calibration", "seconds", "key", "tools")},
            )
        else:
            path, facts = self.emit(folder, artefact, target)
        return self.judge(folder, artefact, path, facts)

    def carry_over(self, folder: Path, path: str) -> Path:
        """Copy an artefact of the previous bundle."""
        assert self.previous is not None
        source, place = self.previous.root / path, folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copytree(source, place) if source.is_dir() else shutil.copy2(source, place))

    def emit(self, folder: Path, artefact: Artefact, target: Target) -> tuple[Path, dict[str, Any]]:
        """Let the target write its file; returns the path and what it took."""
        precision, io = artefact.precision, artefact.io
        calibration = self.calibration if precision == "int8" else {}
        started = time.perf_counter()
        path = target.emit(
            Job(self.network, self.contract, precision, io, list(calibration.values()), folder / target.name)
        )
        digest = hashlib.sha256(b"".join(pixels.tobytes() for pixels in calibration.values())).hexdigest()
        record = {"split": "train", "slices": list(calibration), "sha256": digest} if calibration else None
        return path, {
            "calibration": record,
            "seconds": round(time.perf_counter() - started, 2),
            "key": self.key(target, precision, io),
            "tools": versions(target.packages),
        }

    def judge(self, folder: Path, artefact: Artefact, path: Path, facts: dict[str, Any]) -> dict[str, Any]:
        """Execute an artefact on the gate's cases; a refused one moves to RUN/rejected."""
        runtime = runtimes.load(artefact.runtime, path, threads=os.cpu_count() or 1)
        measured = measure(
            runtime,
            self.reference,
            self.golden,
            self.contract,
            io=artefact.io,
            precision=artefact.precision,
            max_drop=self.settings.max_dice_drop,
        )
        files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
        entry = {
            "id": artefact.id,
            "target": artefact.target,
            "precision": artefact.precision,
            "io": artefact.io,
            "runtime": artefact.runtime,
            "path": str(path.relative_to(folder)),
            "bytes": sum(one.stat().st_size for one in files),
            **facts,
            **measured,
        }
        print(line_of(entry), flush=True)
        if artefact.precision == "int8" or measured["verdict"] == "rejected":
            print(per_class(entry), flush=True)
        outside = self.run / "rejected" / f"{artefact.target}-{path.name}.rejected"
        if outside.is_dir():
            shutil.rmtree(outside)
        outside.unlink(missing_ok=True)
        if measured["verdict"] == "rejected":
            outside.parent.mkdir(exist_ok=True)
            shutil.move(path, outside)
        return entry

    def write_report(self, folder: Path, entries: list[dict[str, Any]]) -> None:
        """contract.json and report.json."""
        write_atomic(folder / "contract.json", self.contract.to_json())
        report = {
            "checkpoint": {"sha256": self.weights, **json.loads((self.run / "validation.json").read_text())},
            "gate": self.gate,
            "machine": machine(),
            "artefacts": entries,
        }
        write_json(folder / "report.json", report)


def per_class(entry: dict[str, Any]) -> str:
    """Dice change of every class, four to a line; absent classes are left out."""
    known = [f"{name} {v:+.4f}" for name, v in entry["dice_change"].items() if name != "mean" and v is not None]
    rows = [", ".join(known[i : i + 4]) for i in range(0, len(known), 4)]
    return textwrap.indent("\n".join(rows), " " * 19)


def line_of(entry: dict[str, Any]) -> str:
    """One artefact on the screen."""
    changes = {k: v for k, v in entry["dice_change"].items() if k != "mean" and v is not None}
    worst = min(changes, key=lambda name: changes[name]) if changes else "-"
    error = entry.get("max_logit_error")
    return (
        f"{entry['id']:<18} {entry['bytes'] / 1e6:8.3f} MB {entry['seconds']:6.1f} s  "
        f"Dice {entry['dice_change']['mean']:+.4f} (worst {worst} {changes.get(worst, 0.0):+.4f})  "
        f"argmax {entry['argmax_agreement']:.5f}"
        + (f"  logits {error:.1e}" if error is not None else "")
        + f"  {entry['verdict'].upper() if entry['verdict'] != 'passed' else 'passed'}"
    )
