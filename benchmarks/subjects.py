"""What is compared: a run with its bundle, a run without one, or a bare bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from acwskd_edge.bundle import MANIFEST, Bundle, open_bundle
from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet, open_data, split_hash
from acwskd_edge.errors import DataError, UsageError
from acwskd_edge.files import restore_folder, sha256
from convert.basis import check_run, run_data
from train.state import WEIGHTS

SAME_CHECKPOINT = 5e-4  # Dice; one checkpoint measured on the same cases on another machine differs by less


@dataclass(frozen=True)
class Subject:
    """One trained model and its artefacts."""

    name: str
    role: str  # student or baseline
    where: Path  # as given on the command line
    contract: Contract
    run: Path | None  # None for a bare bundle: there is no checkpoint to execute
    bundle: Bundle | None  # None for a run that was not converted

    @property
    def validation(self) -> dict[str, Any]:
        """validation.json: the checkpoint's Dice on every validation case, written by training."""
        if self.bundle:
            return dict(self.bundle.report["checkpoint"])
        assert self.run is not None
        return dict(json.loads((self.run / "validation.json").read_text(encoding="utf-8")))

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What convert reported of each artefact, the rejected ones too."""
        return list(self.bundle.report["artefacts"]) if self.bundle else []

    @property
    def cases(self) -> list[str]:
        """Validation cases that every Dice of this subject was measured on."""
        return list(self.bundle.report["gate"]["cases"] if self.bundle else self.validation["cases"])

    @property
    def recipe(self) -> dict[str, Any] | None:
        """recipe.yaml; None for a bare bundle."""
        if self.run is None:
            return None
        return dict(yaml.safe_load((self.run / "recipe.yaml").read_text(encoding="utf-8")))

    def hashes(self) -> dict[str, str | None]:
        """SHA-256 of the checkpoint and of the bundle's manifest, which covers every other file of it."""
        return {
            "checkpoint": sha256(self.run / WEIGHTS) if self.run else self.validation.get("sha256"),
            "manifest": sha256(self.bundle.root / MANIFEST) if self.bundle else None,
        }

    def data(self, where: str | None) -> DataSet:
        """The data of the run, or what `where` names, with the very split the contract knows.

        Raises:
            UsageError: a bare bundle does not say where its data lies.
            DataError: the data is absent or split otherwise.
        """
        if self.run:
            return run_data(self.run, self.contract, where)
        if where is None:
            raise UsageError(f"{self.where} does not say where its data lies", hint="--data kind:path")
        data = open_data(where)
        if split_hash(data) != self.contract.provenance.get("split_sha256"):
            raise DataError(f"{where} is not the data {self.where} was trained on (its split differs)")
        return data


def open_subject(where: Path, role: str) -> Subject:
    """Open a run or a bundle.

    Raises:
        UsageError: neither, not a finished run, or a bundle of an earlier checkpoint.
        TamperedError: the bundle's bytes changed.
    """
    for place in (where, where / "bundle"):
        restore_folder(place.absolute())
    if not where.is_dir():
        raise UsageError(f"no folder {where}", allowed="a run of python -m train, or a bundle of python -m convert")
    if (where / MANIFEST).is_file():
        bundle = open_bundle(where.absolute())
        return checked(Subject(bundle.contract.name, role, where, bundle.contract, None, bundle))
    if not (where / "recipe.yaml").is_file():
        raise UsageError(f"{where} is neither a run nor a bundle", allowed="a folder with recipe.yaml or manifest.json")
    check_run(where)
    found = open_bundle(where.absolute()) if (where / "bundle" / MANIFEST).is_file() else None
    if found and found.report["checkpoint"].get("sha256") != sha256(where / WEIGHTS):
        raise UsageError(
            f"{found.root} was made from another checkpoint than {where / WEIGHTS}",
            hint=f"python -m convert {where} --target all",
        )
    return checked(Subject(where.resolve().name, role, where, Contract.load(where / "contract.json"), where, found))


def checked(subject: Subject) -> Subject:
    """The subject, if all its artefacts were gated on the same cases.

    Raises:
        DataError: two artefacts disagree on the checkpoint's Dice, so they saw different cases.
    """
    means = [one["checkpoint_dice"]["mean"] for one in subject.entries if one["checkpoint_dice"]["mean"] is not None]
    if means and max(means) - min(means) > SAME_CHECKPOINT:
        raise DataError(
            f"artefacts of {subject.where} were gated on different cases "
            f"(checkpoint Dice from {min(means):.4f} to {max(means):.4f})",
            hint="convert all of them again with one --cases",
        )
    return subject


def open_all(students: list[Path], baseline: Path) -> list[Subject]:
    """Students in the order given, the baseline last; names are made unique.

    Raises:
        DataError: student and baseline cannot be compared.
    """
    subjects = [open_subject(where, "student") for where in students] + [open_subject(baseline, "baseline")]
    for student in subjects[:-1]:
        check_comparable(student, subjects[-1])
    names: dict[str, int] = {}
    unique = []
    for one in subjects:
        names[one.name] = names.get(one.name, 0) + 1
        unique.append(replace(one, name=one.name if names[one.name] == 1 else f"{one.name} {names[one.name]}"))
    return unique


def check_comparable(student: Subject, baseline: Subject) -> None:
    """Refuse a baseline whose figures answer another question.

    Raises:
        DataError: other classes, another data set or split, or other validation cases.
    """
    ours, theirs = ([(one.id, one.name) for one in side.contract.labels] for side in (student, baseline))
    if ours != theirs:
        shown = [", ".join(name for k, name in side if k) for side in (theirs, ours)]
        raise DataError(
            f"{baseline.where} is a baseline of other classes ({shown[0]}) than {student.where} ({shown[1]})",
            hint="give a baseline that was trained on the same data",
        )
    facts = ("data", "split_sha256")
    ours_from, theirs_from = ([side.contract.provenance.get(one) for one in facts] for side in (student, baseline))
    if ours_from != theirs_from:
        raise DataError(
            f"{baseline.where} was trained on other data or another split ({theirs_from[0]}) "
            f"than {student.where} ({ours_from[0]})",
            hint="give a baseline that was trained on the same data",
        )
    if student.cases != baseline.cases:
        raise DataError(
            f"{baseline.where} was measured on {len(baseline.cases)} validation case(s) and {student.where} on "
            f"{len(student.cases)}, not the same ones",
            hint="convert both with the same --cases",
        )
