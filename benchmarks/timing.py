"""Latency of rows: the network alone, and from raw pixels to mask, all rows in alternation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from acwskd_edge.bench import fresh
from acwskd_edge.bench.latency import MIN_RUNS, WARM_UP_SECONDS, Timings, WarmUp, interleave, joined, ratios, summary
from acwskd_edge.contract import Contract
from acwskd_edge.errors import AcwskdError, MissingDependency
from acwskd_edge.evaluate import feed
from acwskd_edge.preprocess import mask_of, to_grid, to_image
from acwskd_edge.runtimes import Runtime
from benchmarks.rows import Row, obstacle
from benchmarks.store import Store
from benchmarks.subjects import Subject

AGAIN_SECONDS = 0.3  # of warming up what an earlier pass warmed
AROUND_RUNS = 20  # timed runs of what happens before and after the network


def raw_image(subjects: list[Subject]) -> NDArray[np.generic]:
    """The image (H, W) or (H, W, C) that every row is timed on: a golden one, or noise where there is no bundle."""
    for subject in subjects:
        if subject.bundle and (golden := subject.bundle.golden()):
            return golden[0].image
    contract = subjects[0].contract
    low, high = int(contract.intensity.low), int(contract.intensity.high)
    shape = (contract.height, contract.width, contract.channels)
    return np.random.default_rng(0).integers(low, high, shape, endpoint=True).astype(contract.pixel)


def network_input(row: Row, image: NDArray[np.generic]) -> NDArray[np.generic]:
    """What a row's runtime takes."""
    return feed(to_grid(image, row.subject.contract), row.subject.contract, row.io)


def whole_way(runtime: Runtime, contract: Contract, io: str, image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Raw pixels -> grid -> network -> mask on the image's grid, as a device does it."""
    output = runtime(feed(to_grid(image, contract), contract, io))
    return finish(output, contract, io, image)


def finish(output: NDArray[np.generic], contract: Contract, io: str, image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """What a runtime returned -> mask on the image's grid."""
    mask = output[0].astype(np.uint8) if io == "raw" else mask_of(output)[0]
    return to_image(mask, contract, image.shape[0], image.shape[1])


def measure_fresh(rows: list[Row], image: NDArray[np.generic], threads: int, store: Store, setting: str) -> None:
    """Cold start and memory of every row, each in a process of its own; a row that crashes there is not run here.

    Args:
        setting: of versions and machine; another one is measured anew.
    """
    for row in tqdm(rows, "cold start and memory", disable=None):
        row.not_timed = row.not_timed or obstacle(row)
        if row.not_timed:
            continue
        key = row.key(threads, setting)
        row.fresh = store.get("fresh", key)
        if row.fresh:
            continue
        assert row.path is not None
        try:
            row.fresh = fresh.measure(row.entry.module, row.path, threads, network_input(row, image))
        except MissingDependency as error:
            row.not_timed = f"not installed here: {error.hint}"
        except fresh.Crashed as error:
            row.failed = error.what
        else:
            store.put("fresh", key, row.fresh)


@dataclass(frozen=True)
class Effort:
    """How long rows are timed."""

    runs: int  # rounds at most, in all passes together
    seconds_per_subject: float  # in all passes together, after which rounds end
    precision: float  # share of the median; a pass ends once every subject's interval is narrower
    passes: int  # each is kept when it ends
    turn: float  # seconds that a row's runs fill in every round, as far as whole runs can


def time_rows(
    rows: list[Row], image: NDArray[np.generic], threads: int, effort: Effort, store: Store, setting: str
) -> None:
    """Time what is not timed yet, all rows of all runtimes in alternation; finished passes are in the store.

    A machine may be slow for minutes, and one network then suffers more than another: rows that take turns all the
    time meet the same minutes. A rerun times the rows that are missing together with the baseline's in the same
    runtimes, for their ratios.

    Args:
        setting: key of the whole report; other measurements do not count.
    """
    timed = [row for row in rows if row.path and not row.failed and not row.not_timed]
    runtimes: dict[str, Runtime] = {}  # loaded once, when first wanted
    parts: dict[str, list[Part]] = {row.id: [] for row in timed}
    for number in tqdm(range(effort.passes), f"timing {len(timed)} rows, pass", disable=None):
        known = {row.id: store.get("latency", row.key(setting, number)) for row in timed}
        live = [row for row in timed if not row.failed]
        waiting = [row for row in live if known[row.id] is None]
        families = {row.family for row in waiting}
        session = [row for row in live if row in waiting or (row.subject.role == "baseline" and row.family in families)]
        if waiting:
            found = time_session(session, waiting, runtimes, image, threads, effort)
            known |= {row.id: part.to_json() for row, part in found}
            store.put_all("latency", {row.key(setting, number): known[row.id] for row, _ in found})
        for row in timed:
            if not row.failed:
                parts[row.id].append(Part.from_json(known[row.id]))
    for row in timed:
        if not row.failed:
            take(row, parts[row.id])


@dataclass(frozen=True)
class Part:
    """What one pass found of a row."""

    network: Timings
    whole: Timings  # from raw pixels to mask
    against: dict[str, dict[str, Any] | None]  # see against(): id, and every round's ratios of network and whole

    def to_json(self) -> dict[str, Any]:
        """For the store."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Part:
        """From the store."""
        network, whole = (
            Timings(tuple(map(tuple, one["rounds"])), WarmUp(**one["warm_up"]), one["stopped"])
            for one in (facts["network"], facts["whole"])
        )
        return cls(network, whole, facts["against"])


def take(row: Row, parts: list[Part]) -> None:
    """All passes of a row as its figures."""
    row.latency = joined([one.network for one in parts]).to_dict()
    row.end_to_end = joined([one.whole for one in parts]).to_dict()
    row.speedup, row.end_to_end["speedup"] = (
        {name: ratio_of([part.against[name] for part in parts], what) for name in parts[0].against}
        for what in ("network", "whole")
    )


def ratio_of(found: list[dict[str, Any] | None], what: str) -> dict[str, Any] | None:
    """The ratio over all passes in which the baseline ran; None without one."""
    ran = [one for one in found if one]
    return {"against": ran[0]["id"], **summary([v for one in ran for v in one[what]])} if ran else None


def time_session(
    session: list[Row],
    waiting: list[Row],
    runtimes: dict[str, Runtime],
    image: NDArray[np.generic],
    threads: int,
    effort: Effort,
) -> list[tuple[Row, Part]]:
    """One pass over all rows of a session; what was found of those that wait. A row that raised has the error.

    Args:
        runtimes: of rows by id; what is missing is loaded.
    """
    calls: dict[str, Callable[[], object]] = {}
    warm = all(row.id in runtimes for row in session)
    for row in session:
        try:
            if row.id not in runtimes:
                runtimes[row.id] = row.load(threads)
        except Exception as error:  # what a damaged file or a foreign library raises
            row.failed = told(error)
            continue
        calls |= calls_of(row, runtimes[row.id], image)
    errors: dict[str, Exception] = {}
    timings = interleave(
        calls,
        math.ceil(effort.runs / effort.passes),
        seconds_per_subject=effort.seconds_per_subject / effort.passes,
        precision=effort.precision,
        failed=errors,
        turn=effort.turn,
        warm_up_seconds=AGAIN_SECONDS if warm else WARM_UP_SECONDS,
        fewest=math.ceil(MIN_RUNS / effort.passes),
    )
    for row in session:
        trouble = errors.get(row.id) or errors.get(whole(row))
        if trouble:
            row.failed = told(trouble)
    ready = [row for row in session if not row.failed]
    return [
        (row, Part(timings[row.id], timings[whole(row)], against(row, ready, timings)))
        for row in ready
        if row in waiting
    ]


def whole(row: Row) -> str:
    """Name of a row's way from raw pixels to mask among the timed subjects."""
    return f"{row.id} end to end"


def calls_of(row: Row, runtime: Runtime, image: NDArray[np.generic]) -> dict[str, Callable[[], object]]:
    """The two things that are timed of a row."""
    batch, contract, io = network_input(row, image), row.subject.contract, row.io
    return {row.id: lambda: runtime(batch), whole(row): lambda: whole_way(runtime, contract, io, image)}


def told(error: Exception) -> str:
    """An error in one line."""
    text = error.what if isinstance(error, AcwskdError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:400]


def against(row: Row, rows: list[Row], timings: dict[str, Timings]) -> dict[str, dict[str, Any] | None]:
    """Times faster than the baseline in the same runtime and io, round by round: at the same precision, and at fp32.

    Null where the baseline has no such artefact, and on the baseline's own row.
    """
    found: dict[str, dict[str, Any] | None] = {}
    for name, precision in (("same_precision", row.precision), ("fp32", "fp32")):
        others = [
            one
            for one in rows
            if one.subject.role == "baseline"
            and (one.runtime, one.io, one.precision) == (row.runtime, row.io, precision)
            and one is not row
        ]
        found[name] = None
        if others:
            network, way = (ratios(timings[of(row)], timings[of(others[0])]) for of in (lambda one: one.id, whole))
            found[name] = {"id": others[0].id, "network": network, "whole": way}
    return found


def around(subject: Subject, image: NDArray[np.generic]) -> dict[str, dict[str, float]]:
    """Median milliseconds before and after the network, by io, in this library's numpy.

    Returns:
        io -> before: image to network input; after: what the network returns to the mask on the image's grid.
    """
    contract = subject.contract
    logits = np.zeros((1, contract.classes, contract.height, contract.width), np.float32)
    calls: dict[str, Callable[[], object]] = {}
    for io, output in (("tensor", logits), ("raw", mask_of(logits))):
        calls[f"{io} before"] = lambda io=io: feed(to_grid(image, contract), contract, io)  # type: ignore[misc]
        calls[f"{io} after"] = lambda io=io, output=output: finish(output, contract, io, image)  # type: ignore[misc]
    timed = {name: round(median(one.milliseconds), 4) for name, one in interleave(calls, AROUND_RUNS).items()}
    return {io: {part: timed[f"{io} {part}"] for part in ("before", "after")} for io in ("tensor", "raw")}
