"""A bundle on this machine: golden vectors first, then cold start, memory and latency, row by row into one document.

The document is whole after every step, and a later call that is given it continues.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge import runtimes
from acwskd_edge.bench import fresh
from acwskd_edge.bench.board import board, tegrastats
from acwskd_edge.bench.conditions import keep_freed_memory, pinned, watched
from acwskd_edge.bench.document import AFTER, BEFORE, END_TO_END, MODEL, Document, new
from acwskd_edge.bench.latency import MIN_RUNS, Timings, WarmUp, interleave, speedup
from acwskd_edge.bundle import Artefact, Bundle, Golden
from acwskd_edge.contract import Contract
from acwskd_edge.errors import AcwskdError, MissingDependency
from acwskd_edge.evaluate import feed
from acwskd_edge.machine import versions
from acwskd_edge.preprocess import mask_of, normalise, to_grid, to_image
from acwskd_edge.verify import check_artefact, check_preprocessing

BLOCK = 20  # rounds after which what was timed is saved
SECONDS_PER_SUBJECT = 8.0  # of a block
PACKAGES = tuple((name, name) for name in ("numpy", "ai-edge-litert", "tflite-runtime", "onnxruntime", "openvino"))
INSTALL = "pip install ai-edge-litert, or onnxruntime"

Save = Callable[[Document], None]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What the command line chose."""

    runs: int = 50  # timed runs of every artefact
    threads: int = 1
    artefacts: tuple[str, ...] = ()  # ids; none: all


def measure(
    bundle: Bundle, settings: Settings, save: Save, found: Document | None = None, tell: Tell = print
) -> Document:
    """Measure what `found` lacks; `save` is called after every step, `tell` with lines for people.

    Raises:
        UsageError: the bundle has no artefact of a name in `settings`.
        MissingDependency: no runtime of this bundle is installed here.
    """
    chosen = [bundle.find(one) for one in settings.artefacts] or list(bundle.artefacts)
    device = {"kind": "local", **board()}
    document = new(bundle, chosen, {"runs": settings.runs, "threads": settings.threads}, device, versions(PACKAGES))
    if found is not None and found.get("key") == document["key"]:
        document = found
    if document["complete"]:
        tell("up to date; --again measures anew")
        save(document)
        return document
    document["preprocessing"] = asdict(check_preprocessing(bundle.golden(), bundle.contract))
    for artefact, row in zip(chosen, document["rows"], strict=True):
        if row["state"] is None:
            examine(bundle, artefact, row, settings, emulated=bool(device["emulated"]))
            tell(f"{row['id']}: {row['state']}, {row['detail']}")
            save(document)
    if all(row["state"] == "skipped" for row in document["rows"]):
        raise MissingDependency(
            f"no runtime of this bundle is installed here ({document['rows'][0]['detail']})", hint=INSTALL
        )
    time_all(bundle, chosen, document, settings, save, tell)
    document["complete"] = True
    save(document)
    return document


def examine(bundle: Bundle, artefact: Artefact, row: dict[str, Any], settings: Settings, emulated: bool) -> None:
    """Does it run here, and right? First in a process of its own, because it may crash."""
    entry = runtimes.RUNTIMES.get(artefact.runtime)
    if emulated:
        row["not_timed"] = "emulated: answers only"
    elif entry is None or not entry.timed:
        row["not_timed"] = "executed for correctness only"
    try:
        if row["not_timed"] is None:
            start_fresh(bundle, artefact, row, settings)
        check = check_artefact(bundle, artefact, bundle.golden())
        row["state"], row["detail"] = check.state, check.detail
    except MissingDependency as error:
        row["state"], row["detail"] = "skipped", str(error)
    except AcwskdError as error:
        row["state"], row["detail"] = "FAILED", str(error)
    if row["state"] != "ok":
        row["not_timed"] = "not installed here" if row["state"] == "skipped" else "wrong here"


def start_fresh(bundle: Bundle, artefact: Artefact, row: dict[str, Any], settings: Settings) -> None:
    """Cold start and peak memory.

    Raises:
        MissingDependency: the runtime is not installed here.
        AcwskdError: it cannot be loaded, or crashed.
    """
    batch = feed(bundle.golden()[0].pixels, bundle.contract, artefact.io)
    module = runtimes.RUNTIMES[artefact.runtime].module
    try:
        row["fresh"] = fresh.measure(module, bundle.path(artefact), settings.threads, batch)
    except fresh.Crashed as error:
        if "signal" not in error.what:  # it said what is wrong; here the error keeps its kind
            runtimes.load(artefact.runtime, bundle.path(artefact), settings.threads)
        raise


def time_all(
    bundle: Bundle, chosen: list[Artefact], document: Document, settings: Settings, save: Save, tell: Tell
) -> None:
    """Blocks of rounds over all rows that can be timed; what a killed run timed counts."""
    rows = {row["id"]: row for row in document["rows"] if row["not_timed"] is None}
    if not rows:
        return
    slots = {f"{part} {name}": row[part] for name, row in rows.items() for part in (MODEL, END_TO_END)}
    slots |= document["surroundings"]
    calls = calls_of(bundle, [one for one in chosen if one.id in rows], settings.threads)
    keep_freed_memory()
    with pinned(settings.threads) as cores:
        while (done := len(next(iter(slots.values()))["samples_ms"])) < settings.runs:
            wanted = max(min(BLOCK, settings.runs - done), MIN_RUNS)
            failed: dict[str, Exception] = {}
            with watched(cores) as conditions:
                conditions["tegrastats"] = tegrastats()
                timed = interleave(calls, wanted, seconds_per_subject=SECONDS_PER_SUBJECT, failed=failed)
            document["conditions"].append(conditions)
            drop(failed, slots, calls, rows)
            for name, slot in slots.items():
                values = (*slot["samples_ms"], *(round(one, 5) for one in timed[name].milliseconds))
                slot["samples_ms"] = list(values)
                slot["latency"] = Timings.of(values, timed[name].warm_up, timed[name].stopped).to_dict()
            for row in rows.values():
                row["times_fp32"] = against_fp32(row, list(rows.values()))
            tell(f"timed {len(values)} of {settings.runs} rounds")
            save(document)


def drop(
    failed: dict[str, Exception],
    slots: dict[str, Any],
    calls: dict[str, Callable[[], object]],
    rows: dict[str, dict[str, Any]],
) -> None:
    """What raised while it was timed becomes a row that FAILED; the others go on."""
    for name, error in failed.items():
        row = rows.pop(name.partition(" ")[2], None)
        if row is None:  # its other half failed before, or it is no row
            continue
        row["state"], row["detail"], row["not_timed"] = "FAILED", f"while it was timed: {error}", "failed"
        for part in (MODEL, END_TO_END):
            row[part] = {"latency": None, "samples_ms": []}
            del slots[f"{part} {row['id']}"], calls[f"{part} {row['id']}"]


def calls_of(bundle: Bundle, chosen: list[Artefact], threads: int) -> dict[str, Callable[[], object]]:
    """What is timed: every network alone and end to end, and what lies before and after a network of io `tensor`."""
    one, contract = bundle.golden()[0], bundle.contract
    calls: dict[str, Callable[[], object]] = {}
    for artefact in chosen:
        runtime = runtimes.load(artefact.runtime, bundle.path(artefact), threads)
        calls[f"{MODEL} {artefact.id}"] = partial(runtime, feed(one.pixels, contract, artefact.io))
        calls[f"{END_TO_END} {artefact.id}"] = partial(segment, runtime, contract, artefact.io, one.image)
    calls[BEFORE] = lambda: normalise(to_grid(one.image, contract), contract)
    calls[AFTER] = partial(mask_on_image, one, contract)
    return calls


def segment(runtime: runtimes.Runtime, contract: Contract, io: str, image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Raw pixels (H, W[, C]) -> mask (H, W)."""
    output = runtime(feed(to_grid(image, contract), contract, io))
    mask = output[0].astype(np.uint8) if io == "raw" else mask_of(output)[0]
    return to_image(mask, contract, image.shape[0], image.shape[1])


def mask_on_image(one: Golden, contract: Contract) -> NDArray[np.uint8]:
    """Logits -> mask (H, W) on the image's grid."""
    return to_image(mask_of(one.logits)[0], contract, one.image.shape[0], one.image.shape[1])


def against_fp32(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How many times faster than fp32 in the same runtime and io, rounds paired; None for fp32 itself."""
    for other in rows:
        alike = all(other[key] == row[key] for key in ("runtime", "io"))
        if alike and other["precision"] == "fp32" and other is not row:
            return speedup(timings(row), timings(other))
    return None


def timings(row: dict[str, Any]) -> Timings:
    """A row's network alone."""
    return Timings.of(row[MODEL]["samples_ms"], WarmUp(0, True))
