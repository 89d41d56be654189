"""RUN -> bundle: emit each artefact, execute it, let the gate judge it, seal what passed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acwskd_edge import runtimes
from acwskd_edge.bundle import Artefact, Bundle, Golden, open_bundle, seal
from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet, cases_in, open_data, split_hash
from acwskd_edge.errors import AcwskdError, DataError, GateError, UsageError
from acwskd_edge.evaluate import Prepared, prepare
from acwskd_edge.files import new_folder, only_writer, sha256, write_atomic, write_json
from acwskd_edge.machine import machine, versions
from acwskd_edge.preprocess import mask_of, normalise, to_image
from acwskd_edge.runtimes.torch_eager import TorchRuntime, load_network
from convert import kits
from convert.calibration import CALIBRATION, Calibration, choose, refuse_overlap
from convert.export import MIXED, Job
from convert.gate import Reference, measure, reference_of
from convert.kits import Flags, Kit
from convert.ladder import AUTO, Rung, climb, rungs, summary
from convert.remote import build_on
from convert.sensitivity import PICTURE, LayerLoss, draw, measure_layers, ranked, table
from convert.ssh import Device, Dropped, Unreachable
from convert.targets import Target, find_target
from train.state import WEIGHTS

GOLDEN_SLICES = 4
INDENT = " " * 19  # under the id at the start of a line
ARTEFACT = ("target", "precision", "io", "runtime", "path")  # of an entry, what the manifest repeats
FACTS = ("keep", "calibration", "seconds", "key", "tools")  # of an entry, what another gate does not change
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
COREML_WRITER = "MIL FileWriter"  # in what coremltools raises when it cannot write; it has no type of its own
SPARE = 32 << 20  # bytes to be free besides what the artefacts take
LEARNED = 0.5  # mean Dice below which the gate says so


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


def convert(run: Path, settings: Settings) -> Path:
    """Convert a finished run; returns the bundle's folder.

    Raises:
        UsageError: not a finished run, an unknown target, an illegal precision, a missing tool.
        GateError: at least one artefact was refused; the others are in the bundle.
        RefusedError: int8 was asked for and cannot be calibrated: too few slices, or scans that are also held out.
    """
    plan = [(find_target(name), p, io) for name in settings.targets for p in settings.precisions for io in settings.ios]
    for target, precision, _ in plan:
        target.preflight("int8" if precision == AUTO else precision)
    check_run(run)
    with only_writer(run):
        torch.set_num_threads(os.cpu_count() or 1)
        work = Workshop(run, settings)
        check_space(run, len(plan))
        with writing(run), new_folder(run / "bundle") as folder:
            refused = work.fill(folder, plan)
        with writing(run):
            refused += work.engines(plan)
    print(f"{run / 'bundle'} is sealed; next: acwskd-edge verify {run / 'bundle'}")
    if work.trouble:
        raise work.trouble
    if refused:
        advice = ", ".join(dict.fromkeys(one.advice for one in refused))
        raise GateError(
            f"{len(refused)} artefact(s) refused: " + "; ".join(f"{one.id} ({one.why})" for one in refused),
            hint=f"{advice}, or --max-dice-drop above {settings.max_dice_drop}; see {run / 'rejected'}",
        )
    return run / "bundle"


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """What any tool meets when a folder cannot be written, as one line.

    Raises:
        UsageError: the disk is full, a quota or size limit is reached, or the folder is read-only.
    """
    hint = f"free space there and in {tempfile.gettempdir()}; the bundle in {run} is as it was"
    try:
        yield
    except shutil.Error as error:  # of copying a tree: (from, to, why) of each file
        why = str(error.args[0][0][2]).partition(":")[0]
        raise UsageError(f"cannot write into {run} ({why})", hint=hint) from error
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise UsageError(f"cannot write {error.filename or run} ({error.strerror})", hint=hint) from error
    except RuntimeError as error:
        if COREML_WRITER not in str(error):
            raise
        raise UsageError(f"cannot write a Core ML package ({error})", hint=hint) from error


def check_space(run: Path, artefacts: int) -> None:
    """Refuse to start on a disk that is nearly full, where litert's compiler would end the process without a word.

    Raises:
        UsageError: too little room for the new bundle, or for the tools' temporary files.
    """
    weights = (run / WEIGHTS).stat().st_size
    before = sum(one.stat().st_size for one in (run / "bundle").rglob("*") if one.is_file())
    for folder, needed in ((run, artefacts * weights + before), (Path(tempfile.gettempdir()), 6 * weights)):
        free = shutil.disk_usage(folder).free
        if free < needed + SPARE:
            raise UsageError(
                f"{folder} has {free / 1e6:.0f} MB free", allowed=f"{(needed + SPARE) / 1e6:.0f} MB", hint="free space"
            )


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
Entry = dict[str, Any]
"""An artefact in report.json."""


@dataclass(frozen=True)
class Refused:
    """A planned artefact that did not pass."""

    id: str
    why: str
    advice: str  # what to try next


class Workshop:
    """One conversion. Data, reference and golden vectors are made when something must be emitted or judged."""

    def __init__(self, run: Path, settings: Settings) -> None:
        self.run, self.settings = run, settings
        self.network, self.contract = load_network(run / WEIGHTS, settings.model)
        self.weights = sha256(run / WEIGHTS)
        self.data = run_data(run, self.contract, settings.data)
        self.previous = self._previous()
        self.shared: dict[tuple[str, str], dict[str, Any]] = {}  # (target, io) -> what its jobs share
        self.sensitivities: dict[str, dict[str, Any]] = {one["target"]: one for one in self.before("sensitivity")}
        self.trouble: AcwskdError | None = None  # of a device, raised when all that can be done is done

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

    def key(self, target: Target, precision: str, io: str, keep: Sequence[str] = ()) -> str:
        """Hash of all that decides an artefact's bytes; an equal key means that it need not be emitted again."""
        facts = [self.weights, self.contract.to_json(), target.name, precision, io, versions(target.packages)]
        return hashlib.sha256(json.dumps([*facts, list(keep), CALIBRATION]).encode()).hexdigest()

    def fill(self, folder: Path, plan: Plan) -> list[Refused]:
        """Write a whole bundle into `folder`; returns the refused among the planned.

        What an earlier conversion emitted is kept, and judged again if the gate has changed since.
        """
        entries: dict[str, Entry] = {}
        for target, precision, io in plan:
            if precision != AUTO:
                self.provide(folder, entries, target, precision, io, ())
        ladders = {(t.name, io): self.ladder(folder, entries, t, io) for t, p, io in plan if p == AUTO}
        for one in self.before("ladders"):
            ladders.setdefault((one["target"], one["io"]), one)
        for old in self.old.values():
            if old["id"] not in entries:
                self.provide(folder, entries, find_target(old["target"]), old["precision"], old["io"], old["keep"])
        for one in self.golden:
            one.save(folder / "golden")
        self.write_report(folder, list(entries.values()), list(ladders.values()))
        seal(folder, [Artefact(**{k: e[k] for k in ARTEFACT}) for e in entries.values() if e["verdict"] == "passed"])
        return list(self.refused(plan, entries, ladders))

    @cached_property
    def old(self) -> dict[str, Entry]:
        """The entries of the previous bundle's report by id."""
        return {entry["id"]: {"keep": [], **entry} for entry in self.before("artefacts")}

    def before(self, what: str) -> Any:
        """A list in the previous bundle's report, empty if there is none."""
        return self.previous.report.get(what, []) if self.previous else []

    @property
    def same_gate(self) -> bool:
        """Whether the previous bundle's verdicts hold."""
        return self.previous is not None and self.previous.report["gate"] == self.gate

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
        if old and old["key"] != self.key(target, precision, io, keep):
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
        key = self.key(target, AUTO, io)
        for old in self.before("ladders") if self.same_gate else []:
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
        key = self.key(target, AUTO, "tensor")
        if self.sensitivities.get(target.name, {}).get("key") != key:
            probes = self.calibration.probes
            job = self.job(Path(), target, "int8", "tensor", ())
            losses = measure_layers(target, job, probes, self.runtime)
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
        assert self.previous is not None
        source, place = self.previous.root / path, folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copytree(source, place) if source.is_dir() else shutil.copy2(source, place))

    def job(self, folder: Path, target: Target, precision: str, io: str, keep: tuple[str, ...]) -> Job:
        """What a target is asked for; jobs of one target and io share what they can."""
        precision = "int8" if precision == MIXED else precision
        pixels = self.calibration.pixels if precision == "int8" else []
        shared = self.shared.setdefault((target.name, io), {})
        return Job(self.network, self.contract, precision, io, pixels, folder, keep, shared)

    def emit(
        self, folder: Path, target: Target, precision: str, io: str, keep: tuple[str, ...]
    ) -> tuple[Path, dict[str, Any]]:
        """Let the target write its file; returns the path and what it took."""
        job = self.job(folder / target.name, target, precision, io, keep)
        started = time.perf_counter()
        path = target.emit(job)
        return path, {
            "keep": list(keep),
            "calibration": self.calibration.to_dict(self.contract) if job.calibration else None,
            "seconds": round(time.perf_counter() - started, 2),
            "key": self.key(target, precision, io, keep),
            "tools": versions(target.packages),
        }

    def judge(self, folder: Path, artefact: Artefact, path: Path, facts: dict[str, Any]) -> Entry:
        """Execute an artefact on the gate's cases; a refused one moves to RUN/rejected."""
        started = time.perf_counter()
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
            "gate_seconds": round(time.perf_counter() - started, 2),
            **measured,
        }
        print(line_of(entry), flush=True)
        if facts["keep"]:
            print(textwrap.indent(f"in float: {', '.join(facts['keep'])}", INDENT), flush=True)
        if artefact.precision in ("int8", MIXED) or measured["verdict"] == "rejected":
            print(per_class(entry), flush=True)
        outside = self.run / "rejected" / f"{artefact.target}-{path.name}.rejected"
        if outside.is_dir():
            shutil.rmtree(outside)
        outside.unlink(missing_ok=True)
        if measured["verdict"] == "rejected":
            outside.parent.mkdir(exist_ok=True)
            shutil.move(path, outside)
        return entry

    def engines(self, plan: Plan) -> list[Refused]:
        """Kits for the graphs of the sealed bundle, and engines where one can be built; then it is sealed again.

        Returns:
            the planned whose engine failed or was refused.
        """
        bundle = open_bundle(self.run / "bundle")
        graphs = [one for one in bundle.report["artefacts"] if find_target(one["target"]).kit]
        asked = {(target.name, precision, io) for target, precision, io in plan}
        told: list[Entry] = []
        made: list[tuple[Kit, Entry]] = []
        refused: list[Refused] = []
        for entry in graphs:
            target, io = entry["target"], entry["io"]
            place = self.run / target / f"{entry['precision']}-{io}"
            if entry["verdict"] != "passed":
                kits.remove(place)
                continue
            wanted = bool({(target, entry["precision"], io), (target, AUTO, io)} & asked)
            kit = self.kit(place, bundle.root / entry["path"], entry, wanted)
            stop = self.build(kit) if wanted else None
            facts = kits.report_of(kit, self.run, stop, self.evidence(kit))
            if wanted:
                print(f"{facts['id']:<18} {textwrap.indent(kits.lines_of(facts), INDENT).lstrip()}", flush=True)
                if why := kits.fault(facts, stop):
                    refused.append(Refused(f"{facts['id']} engine", why, "another --precision"))
            self.set_aside(kit, entry, facts["state"] == "rejected")
            told.append(facts)
            made.append((kit, entry))
        if not graphs:
            return []
        with new_folder(bundle.root) as folder:
            shutil.copytree(bundle.root, folder, dirs_exist_ok=True)
            engines = [one for one in (kits.engine_entry(kit, entry, folder) for kit, entry in made) if one]
            write_json(folder / "report.json", {**bundle.report, "kits": told, "engines": engines})
            seal(folder, [*bundle.artefacts, *(Artefact(**{k: one[k] for k in ARTEFACT}) for one in engines)])
        return refused

    def kit(self, place: Path, graph: Path, entry: Entry, wanted: bool) -> Kit:
        """The kit of a graph that passed; one that is current, or was not asked for now, stays as it is."""
        flags, rtx = self.settings.flags, kits.ARCHITECTURES if entry["target"] == "rtx" else ()
        old, drop = kits.read(place), self.settings.max_dice_drop
        if old and not wanted:
            flags = kits.Flags(**old.facts["flags"])
        if old and kits.is_current(old, graph, drop, self.cases, flags, rtx):
            return old
        return kits.write(place, graph, entry, self.contract, self.reference, self.golden, drop, flags, rtx)

    def build(self, kit: Kit) -> kits.Stop | None:
        """Build, verify and time on the device that was named, else on this machine."""
        if self.settings.on and kit.facts["target"] == "jetson":
            if not isinstance(self.trouble, Unreachable | Dropped):
                try:
                    build_on(self.settings.on, kit.folder, kit.results)
                    return None
                except AcwskdError as error:
                    self.trouble = self.trouble or error
            return kits.Stop("device", 1, str(self.trouble))
        return kits.build_here(kit)

    def set_aside(self, kit: Kit, entry: Entry, refused: bool) -> None:
        """A refused engine lies in RUN/rejected, as long as it is refused."""
        outside = self.run / "rejected" / f"{kits.TRT}-{Path(entry['path']).with_suffix('.engine').name}.rejected"
        outside.unlink(missing_ok=True)
        if refused:
            outside.parent.mkdir(exist_ok=True)
            shutil.copyfile(kit.results / kits.result(kit, "build")["engine"], outside)

    def evidence(self, kit: Kit) -> dict[str, Any]:
        """What TensorRT-RTX says of a kit's graph; asked again only for another build."""
        if kit.facts["rtx"] and (built := kits.result(kit, "build")):
            return kits.evidence_of(built)
        for old in self.before("kits"):
            if old["key"] == kit.facts["key"] and "engines" in old["tensorrt_rtx"]:
                return dict(old["tensorrt_rtx"])
        return kits.parsed_by_rtx(kit)

    def write_report(self, folder: Path, entries: list[Entry], ladders: list[Entry]) -> None:
        """contract.json, report.json and, where layers were measured, their picture."""
        mixed = {entry["target"]: entry["keep"] for entry in entries if entry["precision"] == MIXED}
        for name, measured in self.sensitivities.items():
            losses = [LayerLoss(**one) for one in measured["layers"]]
            (folder / name).mkdir(exist_ok=True)
            draw(losses, mixed.get(name, []), f"{self.contract.name}, {name}", folder / name / PICTURE)
        write_atomic(folder / "contract.json", self.contract.to_json())
        report = {
            "checkpoint": {"sha256": self.weights, **json.loads((self.run / "validation.json").read_text())},
            "gate": self.gate,
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
