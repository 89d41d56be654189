"""The bundle's artefacts: each is kept from an earlier conversion, judged again, or emitted, executed and judged."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from acwskd_edge import runtimes
from acwskd_edge.bundle import Artefact, seal
from acwskd_edge.files import write_atomic, write_json
from acwskd_edge.machine import machine, versions
from convert.basis import Basis, Entry
from convert.export import MIXED, Job
from convert.gate import measure
from convert.ladder import AUTO, Rung, climb, rungs, summary
from convert.sensitivity import PICTURE, LayerLoss, draw, measure_layers, ranked, table
from convert.targets import Target, find_target

INDENT = " " * 19  # under the id at the start of a line
ARTEFACT = ("target", "precision", "io", "runtime", "path")  # of an entry, what the manifest repeats
FACTS = ("keep", "calibration", "seconds", "key", "tools")  # of an entry, what another gate does not change

Plan = list[tuple[Target, str, str]]


@dataclass(frozen=True)
class Refused:
    """A planned artefact that did not pass."""

    id: str
    why: str
    advice: str  # what to try next


class Workshop:
    """Fills one bundle."""

    def __init__(self, basis: Basis) -> None:
        self.basis = basis
        self.shared: dict[tuple[str, str], dict[str, Any]] = {}  # (target, io) -> what its jobs share
        self.sensitivities: dict[str, dict[str, Any]] = {one["target"]: one for one in basis.before("sensitivity")}

    def fill(self, folder: Path, plan: Plan) -> list[Refused]:
        """Write a whole bundle into `folder`; returns the refused among the planned.

        What an earlier conversion emitted is kept, and judged again if the gate has changed since.
        """
        entries: dict[str, Entry] = {}
        for target, precision, io in plan:
            if precision != AUTO:
                self.provide(folder, entries, target, precision, io, ())
        ladders = {(t.name, io): self.ladder(folder, entries, t, io) for t, p, io in plan if p == AUTO}
        for one in self.basis.before("ladders"):
            ladders.setdefault((one["target"], one["io"]), one)
        for old in self.old.values():
            if old["id"] not in entries:
                self.provide(folder, entries, find_target(old["target"]), old["precision"], old["io"], old["keep"])
        for one in self.basis.golden:
            one.save(folder / "golden")
        self.write_report(folder, list(entries.values()), list(ladders.values()))
        seal(folder, [Artefact(**{k: e[k] for k in ARTEFACT}) for e in entries.values() if e["verdict"] == "passed"])
        return list(self.refused(plan, entries, ladders))

    @cached_property
    def old(self) -> dict[str, Entry]:
        """The entries of the previous bundle's report by id."""
        return {entry["id"]: {"keep": [], **entry} for entry in self.basis.before("artefacts")}

    @property
    def same_gate(self) -> bool:
        """Whether the previous bundle's verdicts hold."""
        return self.basis.previous is not None and self.basis.previous.report["gate"] == self.basis.gate

    def refused(
        self, plan: Plan, entries: dict[str, Entry], ladders: dict[tuple[str, str], Entry]
    ) -> Iterator[Refused]:
        """The planned that did not pass; of a ladder, its last rung."""
        for target, precision, io in plan:
            if precision == AUTO:
                tried = ladders[target.name, io]["rungs"]
                why, last = f"no rung passed: {summary(tried)}", entries[tried[-1]["id"]]
            else:
                last = entries[Artefact(target.name, precision, io, target.runtime, "").id]
                first, *others = last["reasons"] or [""]
                why = first + (f", and {len(others)} more" if others else "")
            if last["verdict"] == "rejected":
                yield Refused(Artefact(target.name, precision, io, "", "").id, why, last["next"])

    def provide(
        self, folder: Path, entries: dict[str, Entry], target: Target, precision: str, io: str, keep: Sequence[str]
    ) -> Entry:
        """One artefact, by the least work: keep it, judge it again, or emit it; adds its entry and returns it."""
        artefact = Artefact(target.name, precision, io, target.runtime, "")
        old = self.old.get(artefact.id)
        if old and old["key"] != self.basis.key(target, precision, io, keep):
            old = None
        (folder / target.name).mkdir(exist_ok=True)
        if old and self.same_gate:
            if old["verdict"] == "passed":
                self.carry_over(folder, old["path"])
            print(f"{artefact.id:<18} up to date ({old['verdict']})", flush=True)
            entry = old
        elif old and old["verdict"] == "passed":
            path = self.carry_over(folder, old["path"])
            entry = self.judge(folder, artefact, path, {k: old[k] for k in FACTS})
        else:
            entry = self.judge(folder, artefact, *self.emit(folder, target, precision, io, tuple(keep)))
        entries[artefact.id] = entry
        return entry

    def ladder(self, folder: Path, entries: dict[str, Entry], target: Target, io: str) -> Entry:
        """The smallest artefact of a target that passes; returns what each rung gave, for report.json."""
        key = self.basis.key(target, AUTO, io)
        for old in self.basis.before("ladders") if self.same_gate else []:
            if (old["target"], old["io"], old["key"]) == (target.name, io, key):
                print(f"{target.name} {AUTO}: up to date ({summary(old['rungs'])})", flush=True)
                return dict(old)

        def attempt(rung: Rung) -> Entry:
            known = entries.get(Artefact(target.name, rung.label, io, "", "").id)
            if known and known["keep"] == list(rung.keep):
                return known
            return self.provide(folder, entries, target, rung.label, io, rung.keep)

        tried = climb(rungs(lambda: [one.layer for one in ranked(self.sensitivity(target))]), attempt)
        print(f"{target.name} {AUTO}: {summary(tried)}", flush=True)
        passed = tried[-1]["id"] if tried[-1]["verdict"] == "passed" else None
        return {"target": target.name, "io": io, "key": key, "passed": passed, "rungs": tried}

    def sensitivity(self, target: Target) -> list[LayerLoss]:
        """What each layer alone in int8 costs, in order of execution; measured on the tensor graph for both io."""
        key = self.basis.key(target, AUTO, "tensor")
        if self.sensitivities.get(target.name, {}).get("key") != key:
            probes = self.basis.calibration.probes
            job = self.job(Path(), target, "int8", "tensor", ())
            losses = measure_layers(target, job, probes, self.basis.runtime)
            self.sensitivities[target.name] = {
                "target": target.name,
                "key": key,
                "split": "train",
                "slices": [one.id for one in probes],
                "layers": [one.to_dict() for one in losses],
            }
            print(
                f"{target.name}: each layer alone in int8, on {len(probes)} training slices\n{table(losses)}",
                flush=True,
            )
        return [LayerLoss(**one) for one in self.sensitivities[target.name]["layers"]]

    def carry_over(self, folder: Path, path: str) -> Path:
        """Copy an artefact of the previous bundle."""
        assert self.basis.previous is not None
        source, place = self.basis.previous.root / path, folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copytree(source, place) if source.is_dir() else shutil.copy2(source, place))

    def job(self, folder: Path, target: Target, precision: str, io: str, keep: tuple[str, ...]) -> Job:
        """What a target is asked for; jobs of one target and io share what they can."""
        precision = "int8" if precision == MIXED else precision
        pixels = self.basis.calibration.pixels if precision == "int8" else []
        shared = self.shared.setdefault((target.name, io), {})
        return Job(self.basis.network, self.basis.contract, precision, io, pixels, folder, keep, shared)

    def emit(
        self, folder: Path, target: Target, precision: str, io: str, keep: tuple[str, ...]
    ) -> tuple[Path, dict[str, Any]]:
        """Let the target write its file; returns the path and what it took."""
        job = self.job(folder / target.name, target, precision, io, keep)
        started = time.perf_counter()
        path = target.emit(job)
        return path, {
            "keep": list(keep),
            "calibration": self.basis.calibration.to_dict(self.basis.contract) if job.calibration else None,
            "seconds": round(time.perf_counter() - started, 2),
            "key": self.basis.key(target, precision, io, keep),
            "tools": versions(target.packages),
        }

    def judge(self, folder: Path, artefact: Artefact, path: Path, facts: dict[str, Any]) -> Entry:
        """Execute an artefact on the gate's cases; a refused one moves to RUN/rejected."""
        started = time.perf_counter()
        runtime = runtimes.load(artefact.runtime, path, threads=os.cpu_count() or 1)
        measured = measure(
            runtime,
            self.basis.reference,
            self.basis.golden,
            self.basis.contract,
            io=artefact.io,
            precision=artefact.precision,
            max_drop=self.basis.settings.max_dice_drop,
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
            "gate_seconds": round(time.perf_counter() - started, 2),
            **measured,
        }
        print(line_of(entry), flush=True)
        if facts["keep"]:
            print(textwrap.indent(f"in float: {', '.join(facts['keep'])}", INDENT), flush=True)
        if artefact.precision in ("int8", MIXED) or measured["verdict"] == "rejected":
            print(per_class(entry), flush=True)
        outside = self.basis.run / "rejected" / f"{artefact.target}-{path.name}.rejected"
        if outside.is_dir():
            shutil.rmtree(outside)
        outside.unlink(missing_ok=True)
        if measured["verdict"] == "rejected":
            outside.parent.mkdir(exist_ok=True)
            shutil.move(path, outside)
        return entry

    def write_report(self, folder: Path, entries: list[Entry], ladders: list[Entry]) -> None:
        """contract.json, report.json and, where layers were measured, their picture."""
        mixed = {entry["target"]: entry["keep"] for entry in entries if entry["precision"] == MIXED}
        for name, measured in self.sensitivities.items():
            losses = [LayerLoss(**one) for one in measured["layers"]]
            (folder / name).mkdir(exist_ok=True)
            draw(losses, mixed.get(name, []), f"{self.basis.contract.name}, {name}", folder / name / PICTURE)
        write_atomic(folder / "contract.json", self.basis.contract.to_json())
        report = {
            "checkpoint": {
                "sha256": self.basis.weights,
                **json.loads((self.basis.run / "validation.json").read_text()),
            },
            "gate": self.basis.gate,
            "machine": machine(),
            "artefacts": entries,
            "ladders": ladders,
            "sensitivity": list(self.sensitivities.values()),
        }
        write_json(folder / "report.json", report)


def per_class(entry: dict[str, Any]) -> str:
    """Dice change of every class, four to a line; absent classes are left out."""
    known = [f"{name} {v:+.4f}" for name, v in entry["dice_change"].items() if name != "mean" and v is not None]
    rows = [", ".join(known[i : i + 4]) for i in range(0, len(known), 4)]
    return textwrap.indent("\n".join(rows), INDENT)


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
