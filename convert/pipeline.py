"""RUN -> bundle: emit each artefact, execute it, let the gate judge it, seal what passed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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

WEIGHTS = "best.safetensors"
CALIBRATION_SLICES = 32
GOLDEN_SLICES = 4


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
        network, contract = load_network(run / WEIGHTS)
        work = Workshop(run, network, contract, settings)
        previous = work.previous()
        with new_folder(run / "bundle") as folder:
            rejected = work.fill(folder, plan, previous)
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


class Workshop:
    """One conversion: data, reference and golden vectors are made once, and only if something must be emitted."""

    def __init__(self, run: Path, network: nn.Module, contract: Contract, settings: Settings) -> None:
        self.run, self.network, self.contract, self.settings = run, network, contract, settings
        self.weights = sha256(run / WEIGHTS)
        self._calibration: list[NDArray[np.generic]] = []

    def previous(self) -> Bundle | None:
        """The bundle that is there, if it came from this very checkpoint and is intact."""
        try:
            bundle = open_bundle(self.run / "bundle")
        except AcwskdError:
            return None
        return bundle if bundle.report.get("checkpoint", {}).get("sha256") == self.weights else None

    def key(self, target: Target, precision: str, io: str) -> str:
        """Hash of all that decides an artefact and its verdict; equal keys mean nothing to do."""
        facts: list[object] = [
            self.weights,
            self.contract.to_json(),
            target.name,
            precision,
            io,
            versions(target.packages),
        ]
        facts += [self.settings.max_dice_drop, self.settings.cases, CALIBRATION_SLICES]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def fill(self, folder: Path, plan: list[tuple[Target, str, str]], previous: Bundle | None) -> list[str]:
        """Write a whole bundle into `folder`; returns the refused artefacts with their reasons."""
        kept: dict[str, tuple[Artefact | None, dict[str, Any]]] = {}
        if previous:
            for entry in previous.report["artefacts"]:
                passed = next((one for one in previous.artefacts if one.id == entry["id"]), None)
                kept[entry["id"]] = (passed, entry)
        entries: dict[str, tuple[Artefact | None, dict[str, Any]]] = dict(kept)
        todo = []
        for target, precision, io in plan:
            artefact = Artefact(target.name, precision, io, target.runtime, "")
            old = kept.get(artefact.id)
            if old and old[1].get("key") == self.key(target, precision, io):
                print(f"{artefact.id:<18} up to date ({old[1]['verdict']})")
            else:
                todo.append((target, precision, io))
        cases_used = previous.report["gate"]["cases"] if previous else []
        if todo or not previous:
            data = run_data(self.run, self.contract, self.settings.data)
            reference = self.reference(data)
            golden = self.golden(reference)
            cases_used = reference.scores.cases
            for one in golden:
                one.save(folder / "golden")
            for target, precision, io in todo:
                found, entry = self.emit(folder, target, precision, io, data, reference, golden)
                entries[entry["id"]] = (found, entry)
        elif previous:
            shutil.copytree(previous.root / "golden", folder / "golden")
        self.carry_over(folder, entries, previous)
        self.write_report(folder, [entry for _, entry in entries.values()], cases_used)
        seal(folder, [one for one, _ in entries.values() if one])
        planned = {Artefact(t.name, p, io, t.runtime, "").id for t, p, io in plan}
        return [
            f"{name} ({', '.join(entry['reasons'])})"
            for name, (_, entry) in entries.items()
            if name in planned and entry["verdict"] == "rejected"
        ]

    def carry_over(
        self, folder: Path, entries: dict[str, tuple[Artefact | None, dict[str, Any]]], previous: Bundle | None
    ) -> None:
        """Artefacts of the previous bundle that were not emitted anew."""
        for artefact, _ in entries.values():
            if artefact and previous and not (folder / artefact.path).exists():
                source, place = previous.path(artefact), folder / artefact.path
                place.parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, place)
                else:
                    shutil.copy2(source, place)

    def reference(self, data: DataSet) -> Reference:
        """The checkpoint on the validation cases."""
        ids = cases_in(data, "val")
        if self.settings.cases and self.settings.cases < len(ids):
            places = np.linspace(0, len(ids) - 1, self.settings.cases).round().astype(int)
            ids = [ids[i] for i in places]
        cases = prepare(data, ids, self.contract)
        return reference_of(self.torch_runtime(), cases, self.contract)

    def torch_runtime(self) -> runtimes.Runtime:
        """The checkpoint as a runtime."""
        return runtimes.load("torch", self.run / WEIGHTS, torch.get_num_threads())

    def golden(self, reference: Reference) -> list[Golden]:
        """The slices with the most classes, at most one per case while there are cases enough."""
        ranked: list[tuple[int, int, int, Prepared]] = []
        for case_index, one in enumerate(reference.cases):
            label = one.case.label
            assert label is not None
            counts = [len(np.unique(piece)) for piece in label]
            for rank, index in enumerate(sorted(range(len(counts)), key=lambda i: -counts[i])[:GOLDEN_SLICES]):
                ranked.append((rank, case_index, index, one))
        runtime = self.torch_runtime()
        golden = []
        for _, _, index, one in sorted(ranked, key=lambda item: item[:3])[:GOLDEN_SLICES]:
            image, pixels = one.case.image[index], one.pixels[index]
            logits = np.asarray(runtime(normalise(pixels, self.contract)), np.float32)
            mask = to_image(mask_of(logits)[0], self.contract, image.shape[0], image.shape[1])
            golden.append(Golden(f"{one.case.id}-{index:03d}", image, pixels, logits, mask))
        return golden

    def calibration(self, data: DataSet) -> list[NDArray[np.generic]]:
        """Pixels of training slices, spread evenly over the training cases; never validation or test."""
        if not self._calibration:
            ids = cases_in(data, "train")
            chosen = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, CALIBRATION_SLICES).round().astype(int))]
            share = -(-CALIBRATION_SLICES // len(chosen))
            for one in prepare(data, chosen, self.contract):
                places = np.linspace(0, len(one.pixels) - 1, share + 2).round().astype(int)[1:-1]
                self._calibration += [one.pixels[i] for i in places]
        return self._calibration

    def emit(
        self,
        folder: Path,
        target: Target,
        precision: str,
        io: str,
        data: DataSet,
        reference: Reference,
        golden: list[Golden],
    ) -> tuple[Artefact | None, dict[str, Any]]:
        """Emit, execute and judge one artefact; a refused one moves to RUN/rejected."""
        calibration = self.calibration(data) if precision == "int8" else []
        place = folder / target.name
        place.mkdir(exist_ok=True)
        started = time.perf_counter()
        path = target.emit(Job(self.network, self.contract, precision, io, calibration, place))
        seconds = time.perf_counter() - started
        artefact = Artefact(target.name, precision, io, target.runtime, str(path.relative_to(folder)))
        runtime = runtimes.load(target.runtime, path, threads=os.cpu_count() or 1)
        facts = measure(
            runtime,
            reference,
            golden,
            self.contract,
            io=io,
            precision=precision,
            max_drop=self.settings.max_dice_drop,
        )
        entry = {
            "id": artefact.id,
            "target": target.name,
            "precision": precision,
            "io": io,
            "runtime": target.runtime,
            "path": artefact.path,
            "bytes": sum(f.stat().st_size for f in ([path] if path.is_file() else path.rglob("*")) if f.is_file()),
            "seconds": round(seconds, 2),
            "key": self.key(target, precision, io),
            "tools": versions(target.packages),
            **facts,
        }
        print(line_of(entry))
        if facts["verdict"] == "passed":
            return artefact, entry
        outside = self.run / "rejected" / f"{target.name}-{path.name}.rejected"
        outside.parent.mkdir(exist_ok=True)
        if outside.is_dir():
            shutil.rmtree(outside)
        shutil.move(path, outside)
        return None, entry

    def write_report(self, folder: Path, entries: list[dict[str, Any]], cases: list[str]) -> None:
        """contract.json and report.json."""
        write_atomic(folder / "contract.json", self.contract.to_json())
        report = {
            "checkpoint": {"sha256": self.weights, **json.loads((self.run / "validation.json").read_text())},
            "gate": {
                "max_dice_drop": self.settings.max_dice_drop,
                "split": "val",
                "cases": cases,
                "warning": self.contract.provenance.get("warning"),
            },
            "machine": machine(),
            "artefacts": entries,
        }
        write_json(folder / "report.json", report)


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
