"""Everything from the command line to table, report.json and index.html."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from acwskd_edge import __version__
from acwskd_edge.bundle import MANIFEST
from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet, Split
from acwskd_edge.errors import AcwskdError, MissingDependency, UsageError
from acwskd_edge.evaluate import Segment, segment_with
from acwskd_edge.files import only_writer, write_atomic, write_json
from acwskd_edge.machine import machine, versions
from benchmarks.accuracy import GATE_SPLIT, PerCase, gated, measure_split
from benchmarks.cost import cost_of
from benchmarks.engines import engines_of, lines, second_route
from benchmarks.pictures import Strip, choose_cases, pareto_svg, strips
from benchmarks.report import page
from benchmarks.rows import Row, grid_of, rows_of, surroundings, time_rows, to_dicts
from benchmarks.subjects import Subject, open_all
from benchmarks.table import text_table
from benchmarks.words import commands, headlines, warnings

SCHEMA = 2
PACKAGES = tuple(
    (name, name)
    for name in ("torch", "onnxruntime", "ai-edge-litert", "coremltools", "numpy", "opencv-python-headless")
)


@dataclass(frozen=True)
class Settings:
    """What the command line chose."""

    students: tuple[Path, ...]
    baseline: Path
    out: Path | None = None
    threads: int = 1
    runs: int = 50
    split: Split = GATE_SPLIT
    data: str | None = None
    again: bool = False


def benchmark(settings: Settings) -> Path:
    """Measure, or recognise a finished measurement; prints the table and returns the page's path.

    Raises:
        UsageError: not a run or bundle, or `out` lies inside a bundle.
        DataError: student and baseline cannot be compared.
        TamperedError: a bundle's bytes changed.
    """
    subjects = open_all(list(settings.students), settings.baseline)
    out = settings.out or default_folder(subjects[0])
    check_folder(out)
    with only_writer(out):
        key = key_of(subjects, settings)
        found = None if settings.again else finished(out, key)
        if found is None:
            torch.set_num_threads(settings.threads)
            found, html = measure(subjects, settings, key)
            (out / "report.json").unlink(missing_ok=True)  # so that a kill between the two leaves no mismatched pair
            write_atomic(out / "index.html", html)
            write_json(out / "report.json", found)
            print(text_table(found), *lines(found), sep="\n")
        else:
            print(text_table(found), *lines(found), sep="\n")
            print("up to date; --again measures anew")
    print(out / "index.html")
    return out / "index.html"


def default_folder(first: Subject) -> Path:
    """`RUN/report`; beside a bare bundle, because a file inside would break its seal."""
    return first.where / "report" if first.run else first.where.with_name(first.where.resolve().name + "-report")


def check_folder(out: Path) -> None:
    """Refuse a folder inside a bundle.

    Raises:
        UsageError: writing there would break the bundle's seal.
    """
    place = out.resolve()
    if any((one / MANIFEST).is_file() for one in (place, *place.parents)):
        raise UsageError(f"--out {out} lies inside a bundle", hint="choose a folder outside; a bundle is sealed")


def key_of(subjects: list[Subject], settings: Settings) -> str:
    """Hash of all that decides a measurement; equal keys mean nothing to do."""
    facts = {
        "schema": SCHEMA,
        "subjects": [[one.name, one.role, one.hashes(), one.contract.to_json()] for one in subjects],
        "settings": [settings.threads, settings.runs, settings.split, settings.data],
        "versions": tools(),
        "machine": machine(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def tools() -> dict[str, str]:
    """Versions of everything that takes part."""
    return {"acwskd-edge": __version__, **versions(PACKAGES)}


def finished(out: Path, key: str) -> dict[str, Any] | None:
    """The report that is there, if it answers this very question."""
    try:
        found: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("key") == key and (out / "index.html").is_file() else None


def measure(subjects: list[Subject], settings: Settings, key: str) -> tuple[dict[str, Any], str]:
    """Cost, latency and Dice of every row; returns report.json and the page."""
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    data, notices = open_pictured(subjects[0], settings.data)
    rows = [row for subject in subjects for row in rows_of(subject)]
    if settings.split == GATE_SPLIT:
        cases, per_case = gated(subjects)
    else:
        cases, per_case = measure_split(subjects, rows, settings.split, settings.data, settings.threads)
    print(f"timing {len(rows)} rows, up to {settings.runs} rounds", file=sys.stderr)
    time_rows(rows, settings.runs, settings.threads)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "key": key,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "settings": {"threads": settings.threads, "runs": settings.runs, "split": settings.split},
        "data": {"kind": subjects[-1].contract.provenance.get("data"), "split": settings.split, "cases": cases},
        "labels": [asdict(one) for one in subjects[-1].contract.labels],
        "machine": {**machine(), "load_average": load},
        "versions": tools(),
        "subjects": [facts_of(one) for one in subjects],
        "rows": to_dicts(rows),
        "engines": engines_of(subjects),
        "torch_tensorrt": second_route(subjects, settings.runs, settings.threads),
        "commands": [line for one in subjects for line in commands(one)] + [own_command()],
    }
    report["headlines"] = headlines(report)
    report["warnings"] = warnings(report, subjects)
    shown = pictures(subjects, rows, per_case, data, settings.threads) if data else []
    return report, page(report, shown, pareto_svg(report["rows"]), notices)


def own_command() -> str:
    """The command line as it was typed."""
    return f"python -m benchmarks {shlex.join(sys.argv[1:])}"


def facts_of(subject: Subject) -> dict[str, Any]:
    """A subject in report.json."""
    known = subject.contract.provenance
    objective = known.get("objective")
    return {
        "name": subject.name,
        "role": subject.role,
        "where": str(subject.where),
        "network": known.get("model"),
        "objective": objective.get("name") if isinstance(objective, dict) else None,
        "steps": known.get("steps"),
        "seed": known.get("seed"),
        "code": known.get("code"),
        "grid": grid_of(subject.contract),
        "hashes": subject.hashes(),
        "surroundings_ms": surroundings(subject),
        **cost_of(subject.contract),
    }


def open_pictured(first: Subject, where: str | None) -> tuple[DataSet | None, list[str]]:
    """The data that overlays are drawn on; without it, the reason.

    Raises:
        DataError: the data named with --data is absent or not the subject's.
    """
    try:
        return first.data(where), []
    except AcwskdError as error:
        if where:
            raise
        return None, [str(error)]


def pictures(
    subjects: list[Subject], rows: list[Row], per_case: dict[str, PerCase], data: DataSet, threads: int
) -> list[Strip]:
    """Overlays by every subject's first row that runs here."""
    models: dict[str, tuple[Contract, Segment]] = {}
    for row in rows:
        if row.subject.name in models or row.path is None:
            continue
        try:
            segment = segment_with(row.load(threads), row.subject.contract, row.io)
        except MissingDependency:
            continue
        models[row.subject.name] = (row.subject.contract, segment)
    chosen = choose_cases(per_case.get(subjects[0].name, {}), per_case.get(subjects[-1].name, {}))
    return strips(data, chosen, models) if models else []
