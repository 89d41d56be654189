"""Everything from the command line to table, report.json and index.html."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from acwskd_edge.bench.conditions import keep_freed_memory, pinned, watched
from acwskd_edge.bench.latency import TURN
from acwskd_edge.bundle import MANIFEST
from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet, Split, cases_in
from acwskd_edge.errors import AcwskdError, MissingDependency, UsageError
from acwskd_edge.evaluate import Segment, segment_with
from acwskd_edge.files import only_writer, write_atomic, write_json
from acwskd_edge.machine import machine
from acwskd_edge.runtimes import RUNTIMES
from benchmarks.compare import Limits, regressions
from benchmarks.engines import engines_of, lines, second_route
from benchmarks.execution import Cases, execute_rows, per_case_of
from benchmarks.facts import facts_of, own_command, tools
from benchmarks.measured import measured_rows
from benchmarks.pictures import Strip, choose_cases, plots, strips
from benchmarks.report import page
from benchmarks.rows import Row, rows_of, to_dict
from benchmarks.store import Store, digest
from benchmarks.subjects import Subject, open_all
from benchmarks.table import text_table
from benchmarks.timing import Effort, around, measure_fresh, raw_image, time_rows
from benchmarks.words import commands, headlines, warnings

SCHEMA = 2
GATE_SPLIT: Split = "val"
COMPILED = "TORCHINDUCTOR_CACHE_DIR"


@dataclass(frozen=True)
class Settings:
    """What the command line chose."""

    students: tuple[Path, ...]
    baseline: Path
    out: Path | None = None
    threads: int = 1
    runs: int = 200  # rounds at most
    seconds: float = 20.0  # per timed subject, after which no further rounds begin
    precision: float = 0.03  # share of the median; narrower 95 % intervals end the rounds
    passes: int = 3  # of rounds; a killed run continues with the next
    turn: float = TURN  # seconds that a row's runs fill in every round
    split: Split = GATE_SPLIT
    data: str | None = None
    again: bool = False
    without: tuple[str, ...] = ()  # runtimes whose rows are left out
    measured: tuple[Path, ...] = ()  # on other machines, by the web demo or benchmarks.device
    compare: Path | None = None  # an earlier report.json
    limits: Limits = field(default_factory=Limits)  # beyond which a difference to it is a regression


class RowsFailed(AcwskdError):
    """Some rows could not be measured; the others are in the report."""


class Regressed(AcwskdError):
    """Rows are slower, worse or larger than in the report that was given."""

    exit_code = 4


def benchmark(settings: Settings) -> Path:
    """Measure, or recognise a finished measurement; prints the table and returns the page's path.

    Raises:
        UsageError: not a run or bundle, or `out` lies inside a bundle.
        DataError: student and baseline cannot be compared.
        TamperedError: a bundle's bytes changed.
        RowsFailed: some rows failed; all others were measured and kept.
        Regressed: with `compare`, a row is slower, worse or larger than it was.
    """
    for name in settings.without:
        if name not in RUNTIMES:
            raise UsageError(f"--without {name}", allowed=", ".join(RUNTIMES))
    subjects = open_all(list(settings.students), settings.baseline)
    external = measured_rows(list(settings.measured), subjects)
    old = read_report(settings.compare) if settings.compare else None
    out = settings.out or default_folder(subjects[0])
    check_folder(out)
    with only_writer(out):
        key = key_of(subjects, external, settings)
        found = None if settings.again else finished(out, key)
        if found is None:
            torch.set_num_threads(settings.threads)
            found, html = measure(subjects, external, settings, key, Store(out, empty=settings.again))
            (out / "report.json").unlink(missing_ok=True)  # so that a kill between the two leaves no mismatched pair
            write_atomic(out / "index.html", html)
            write_json(out / "report.json", found)
            print(text_table(found), *lines(found), sep="\n")
        else:
            print(text_table(found), *lines(found), sep="\n")
            print("up to date; --again measures anew")
    print(out / "index.html")
    conclude(found, old, settings)
    return out / "index.html"


def conclude(report: dict[str, Any], old: dict[str, Any] | None, settings: Settings) -> None:
    """Raise for rows that failed, or, compared with an earlier report, regressed."""
    failed = [row for row in report["rows"] if row["failed"]]
    if failed:
        raise RowsFailed(
            f"{len(failed)} row(s) failed: " + "; ".join(f"{row['id']} ({row['failed']})" for row in failed),
            hint="the same command keeps the others and tries these again",
        )
    if old is None:
        return
    found = regressions(old, report, settings.limits)
    for line in found.notes:
        print(line)
    if found.worse:
        raise Regressed(
            f"{len(found.worse)} regression(s) against {settings.compare}: " + "; ".join(found.worse),
            hint="look at the artefacts or the machine; --again measures anew",
        )
    print(f"no regression against {settings.compare} ({found.compared} rows)")


def read_report(path: Path) -> dict[str, Any]:
    """A report.json of this schema.

    Raises:
        UsageError: absent, no report, or of another schema.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error})", allowed="a report.json of python -m benchmarks") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise UsageError(
            f"{path} is not a report of schema {SCHEMA}",
            allowed="a report.json of this version",
            hint="measure the earlier state again with this version",
        )
    return found


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


def key_of(subjects: list[Subject], external: list[Row], settings: Settings) -> str:
    """Hash of all that decides a measurement; equal keys mean nothing to do."""
    return digest(
        SCHEMA,
        [[one.name, one.role, one.hashes(), one.contract.to_json()] for one in subjects],
        [[row.id, row.latency] for row in external],
        [settings.threads, settings.runs, settings.seconds, settings.precision, settings.passes, settings.turn],
        [settings.split, settings.data],
        sorted(settings.without),
        tools(),
        machine(),
    )


def finished(out: Path, key: str) -> dict[str, Any] | None:
    """The report that is there, if it answers this very question and no row of it failed."""
    try:
        found: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("key") != key or not (out / "index.html").is_file():
        return None
    return None if any(row["failed"] for row in found["rows"]) else found


def measure(
    subjects: list[Subject], external: list[Row], settings: Settings, key: str, store: Store
) -> tuple[dict[str, Any], str]:
    """Cost, memory, Dice and latency of every row; returns report.json and the page."""
    data, notices = open_pictured(subjects[0], settings.data)
    cases = cases_of(subjects, settings, data)
    rows = [row for subject in subjects for row in rows_of(subject) if row.runtime not in settings.without]
    image = raw_image(subjects)
    setting = digest(tools(), machine())
    effort = Effort(settings.runs, settings.seconds, settings.precision, settings.passes, settings.turn)
    with compiled_anew(), pinned(settings.threads) as cores:
        measure_fresh(rows, image, settings.threads, store, setting)
        execute_rows(rows, cases, settings.threads, store, digest(setting, settings.data))
        keep_freed_memory()
        with watched(cores) as conditions:
            time_rows(rows, image, settings.threads, effort, store, key)
            beside = {one.name: around(one, image) for one in subjects}
    if not any(row.failed for row in rows):
        store.clear("latency")
    rows += external
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "key": key,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "settings": {"threads": settings.threads, "split": settings.split, **asdict(effort)},
        "image": list(image.shape),
        "data": {"kind": subjects[-1].contract.provenance.get("data"), "split": settings.split, "cases": cases.ids},
        "labels": [asdict(one) for one in subjects[-1].contract.labels],
        "machine": machine(),
        "conditions": conditions,
        "versions": tools(),
        "subjects": [facts_of(one, beside[one.name]) for one in subjects],
        "rows": [to_dict(row) for row in rows],
        "engines": engines_of(subjects),
        "torch_tensorrt": second_route(subjects, settings.runs, settings.threads),
        "commands": [line for one in subjects for line in commands(one)] + [own_command()],
    }
    report["headlines"] = headlines(report)
    report["warnings"] = warnings(report, subjects)
    shown = pictures(subjects, rows, cases, settings.threads) if data else []
    return report, page(report, shown, plots(report["rows"]), notices)


@contextmanager
def compiled_anew() -> Iterator[None]:
    """An empty cache for what torch.compile writes, or its start would not be cold; the timed rows then find it."""
    before = os.environ.get(COMPILED)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[COMPILED] = folder
        try:
            yield
        finally:
            os.environ.pop(COMPILED)
            if before is not None:
                os.environ[COMPILED] = before


def cases_of(subjects: list[Subject], settings: Settings, data: DataSet | None) -> Cases:
    """What the rows are scored on.

    Raises:
        UsageError, DataError: another split than the gate's needs the data, and it is not there.
    """
    if settings.split == GATE_SPLIT:
        return Cases(subjects[0].cases, data, gate=True)
    data = data or subjects[0].data(settings.data)
    return Cases(cases_in(data, settings.split), data, gate=False)


def open_pictured(first: Subject, where: str | None) -> tuple[DataSet | None, list[str]]:
    """The data that overlays are drawn on and further runtimes scored on; without it, the reason.

    Raises:
        DataError: the data named with --data is absent or not the subject's.
    """
    try:
        return first.data(where), []
    except AcwskdError as error:
        if where:
            raise
        print(f"data not at hand ({error.what}): no overlays, and Dice only as the gate measured it", file=sys.stderr)
        return None, [str(error)]


def pictures(subjects: list[Subject], rows: list[Row], cases: Cases, threads: int) -> list[Strip]:
    """Overlays by every subject's first row that runs here."""
    assert cases.data is not None
    models: dict[str, tuple[Contract, Segment]] = {}
    for row in rows:
        if row.subject.name in models or row.path is None or row.failed:
            continue
        try:
            segment = segment_with(row.load(threads), row.subject.contract, row.io)
        except MissingDependency:
            continue
        models[row.subject.name] = (row.subject.contract, segment)
    per_case = [per_case_of(subjects[side], rows, cases.gate) for side in (0, -1)]
    return strips(cases.data, choose_cases(*per_case), models) if models else []
