"""Latency of rows: the network alone, and from raw pixels to mask, each runtime's rows in alternation."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from acwskd_edge.bench import fresh
from acwskd_edge.bench.latency import Timings, interleave, speedup
from acwskd_edge.contract import Contract
from acwskd_edge.errors import AcwskdError, MissingDependency
from acwskd_edge.evaluate import feed
from acwskd_edge.preprocess import mask_of, to_grid, to_image
from acwskd_edge.runtimes import Runtime
from benchmarks.rows import Row, obstacle
from benchmarks.store import Store
from benchmarks.subjects import Subject

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


def time_rows(
    rows: list[Row], image: NDArray[np.generic], threads: int, limits: dict[str, Any], store: Store, setting: str
) -> None:
    """Time what is not timed yet, family by family; finished families are in the store.

    A rerun times the rows that are missing together with the baseline's of their family, for their ratios.

    Args:
        limits: runs, seconds_per_subject and precision of `interleave`.
        setting: key of the whole report; other measurements do not count.
    """
    timed = [row for row in rows if row.path and not row.failed and not row.not_timed]
    for row in timed:
        take(row, store.get("latency", row.key(setting)))
    for family in tqdm(list(dict.fromkeys(row.family for row in timed)), "timing", disable=None):
        own = [row for row in timed if row.family == family]
        waiting = [row for row in own if row.latency is None]
        if waiting:
            session = [row for row in own if row in waiting or row.subject.role == "baseline"]
            time_session(session, waiting, image, threads, limits)
            for row in waiting:
                if not row.failed:
                    facts = {"latency": row.latency, "speedup": row.speedup, "end_to_end": row.end_to_end}
                    store.put("latency", row.key(setting), facts)


def take(row: Row, facts: dict[str, Any] | None) -> None:
    """Facts of the store, if there are any."""
    if facts:
        row.latency, row.speedup, row.end_to_end = (facts[key] for key in ("latency", "speedup", "end_to_end"))


def time_session(
    session: list[Row], waiting: list[Row], image: NDArray[np.generic], threads: int, limits: dict[str, Any]
) -> None:
    """All rows of a session in alternation; results go to those that wait, an error to the row that raised it."""
    calls: dict[str, Callable[[], object]] = {}
    for row in session:
        try:
            runtime = row.load(threads)
        except Exception as error:  # what a damaged file or a foreign library raises
            row.failed = told(error)
            continue
        calls |= calls_of(row, runtime, image)
    errors: dict[str, Exception] = {}
    timings = interleave(calls, **limits, failed=errors)
    for row in session:
        trouble = errors.get(row.id) or errors.get(whole(row))
        if trouble:
            row.failed = told(trouble)
    ready = [row for row in session if not row.failed]
    for row in ready:
        if row in waiting:
            row.latency = timings[row.id].to_dict()
            row.speedup = ratios(row, ready, {one.id: timings[one.id] for one in ready})
            row.end_to_end = {
                **timings[whole(row)].to_dict(),
                "speedup": ratios(row, ready, {one.id: timings[whole(one)] for one in ready}),
            }


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


def ratios(row: Row, rows: list[Row], timings: dict[str, Timings]) -> dict[str, Any]:
    """Times faster than the baseline in the same runtime and io: at the same precision, and at fp32.

    Null where the baseline has no such artefact, and on the baseline's own row.
    """
    found: dict[str, Any] = {}
    for name, precision in (("same_precision", row.precision), ("fp32", "fp32")):
        others = [
            one
            for one in rows
            if one.subject.role == "baseline"
            and (one.runtime, one.io, one.precision) == (row.runtime, row.io, precision)
            and one is not row
        ]
        found[name] = {"against": others[0].id, **speedup(timings[row.id], timings[others[0].id])} if others else None
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
