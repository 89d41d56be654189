"""Cost and latency of every candidate of a search, here or on a device.

Here all artefacts are timed in alternation. A device gets a sealed bundle of each candidate, one after another, and
answers with the document of `python -m benchmarks.device`; finished ones are kept beside the candidate's artefacts.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from acwskd_edge import runtimes
from acwskd_edge.bench.document import MODEL, Document, load
from acwskd_edge.bench.latency import interleave
from acwskd_edge.bench.measure import Settings as DeviceSettings
from acwskd_edge.bundle import MANIFEST, Artefact, Bundle, Golden, open_bundle, seal
from acwskd_edge.contract import Contract
from acwskd_edge.evaluate import feed
from acwskd_edge.files import sha256, write_atomic, write_json
from acwskd_edge.machine import machine
from acwskd_edge.preprocess import mask_of, normalise, to_grid, to_image
from benchmarks.candidates import Candidate
from benchmarks.device.options import Place
from benchmarks.device.places import measure_at
from benchmarks.emitted import EMITTERS, Kind, blank_contract, built, emit, forward, noise
from convert.gate import Tally

Row = dict[str, Any]
Found = dict[Kind, Path | str]


@dataclass(frozen=True)
class Question:
    """What is measured of every candidate."""

    size: int  # side of the input, pixels
    channels: int  # of the data's images
    classes: int  # of the data, with background
    kinds: list[Kind]
    runs: int  # timed runs of every artefact
    place: Place
    out: Path  # artefacts and answers stay here


def measured(candidates: list[Candidate], question: Question) -> list[Row]:
    """Cost and latency of every candidate, the fastest first; kept in OUT/latency.json.

    Raises:
        Unreachable, Dropped: the device is gone; what it answered is kept, the same command continues.
    """
    file = question.out / "latency.json"
    key = [
        [one.name for one in candidates],
        [":".join(kind) for kind in question.kinds],
        [question.size, question.channels, question.classes, question.runs],
        machine() if question.place.kind == "local" else question.place.name,
    ]
    if file.is_file() and (found := json.loads(file.read_text(encoding="utf-8")))["key"] == key:
        return list(found["rows"])
    contract = blank_contract(question.channels, question.classes, question.size)
    rows: dict[str, Row] = {}
    emitted: dict[str, Found] = {}
    for one in tqdm(candidates, "converting candidates", disable=None):
        facts, emitted[one.name] = emit(one.fields["model"], contract, question.kinds, folder_of(one.name, question))
        refused = {":".join(kind): why for kind, why in emitted[one.name].items() if isinstance(why, str)}
        rows[one.name] = {"name": one.name, **facts, "latency": {}, "refused": refused}
    if question.place.kind == "local":
        time_here(rows, emitted, contract, question)
    else:
        for number, one in enumerate(candidates, 1):
            print(f"[{number}/{len(candidates)}] {one.name} on {question.place.name}", flush=True)
            time_there(rows[one.name], one.fields["model"], emitted[one.name], contract, question)
    for row in rows.values():
        medians = {kind: one["median_ms"] for kind, one in row["latency"].items()}
        row["fastest"] = min(medians, key=lambda kind: medians[kind]) if medians else None
        row["ms"] = medians[row["fastest"]] if medians else None
    ranked = sorted(rows.values(), key=lambda row: math.inf if row["ms"] is None else row["ms"])
    write_json(file, {"key": key, "rows": ranked})
    return ranked


def folder_of(name: str, question: Question) -> Path:
    """A candidate's artefacts on this grid."""
    return question.out / "artefacts" / f"{name}-{question.channels}x{question.size}-{question.classes}"


def time_here(rows: dict[str, Row], emitted: dict[str, Found], contract: Contract, question: Question) -> None:
    """All artefacts of all candidates in alternation, one thread."""
    calls = {
        f"{name} {':'.join(kind)}": forward(path, kind, contract)
        for name, artefacts in emitted.items()
        for kind, path in artefacts.items()
        if isinstance(path, Path)
    }
    print(f"timing {len(calls)} artefacts, up to {question.runs} rounds", file=sys.stderr, flush=True)
    for call, timings in interleave(calls, question.runs).items():
        name, _, kind_name = call.partition(" ")
        rows[name]["latency"][kind_name] = timings.to_dict()


def time_there(row: Row, model: str, artefacts: Found, contract: Contract, question: Question) -> None:
    """One candidate's artefacts, in alternation on the device, one thread; an artefact that answers wrong has none."""
    folder = folder_of(row["name"], question)
    paths = {kind: path for kind, path in artefacts.items() if isinstance(path, Path)}
    if not paths:
        return
    bundle = sealed(model, contract, paths, folder / "bundle")
    file = folder / f"{question.place.label}.json"
    found = load(file)
    if not (found and answers(found, bundle, question)):

        def take(document: Document) -> None:
            document["device"]["kind"] = question.place.kind
            write_json(file, document)

        with tempfile.TemporaryDirectory() as work:
            settings = DeviceSettings(question.runs, threads=1)
            measure_at(question.place, bundle, settings, Path(work), take, found, again=False)
        found = load(file)
        assert found is not None
    row["device"] = found["device"]
    for kind in paths:
        told = next(one for one in found["rows"] if one["id"] == artefact_of(kind).id)
        if told[MODEL]["latency"]:
            row["latency"][":".join(kind)] = told[MODEL]["latency"]
        else:
            row["refused"][":".join(kind)] = told["not_timed"] if told["state"] == "ok" else told["detail"]


def answers(document: Document, bundle: Bundle, question: Question) -> bool:
    """Whether a document is whole and of this very question."""
    same = document["bundle"]["manifest_sha256"] == sha256(bundle.root / MANIFEST)
    return bool(same and document["complete"] and document["settings"]["runs"] == question.runs)


def artefact_of(kind: Kind) -> Artefact:
    """As a bundle lists it."""
    runtime, precision = kind
    target = EMITTERS[runtime]
    return Artefact(target, precision, "tensor", runtime, f"{target}/{precision}.{target}")


def sealed(model: str, contract: Contract, artefacts: dict[Kind, Path], root: Path) -> Bundle:
    """A bundle of artefacts with random weights; its golden slice is noise, followed through the network.

    What an artefact must agree with on the device is what it agrees with here.
    """
    chosen = [artefact_of(kind) for kind in artefacts]
    if (root / MANIFEST).is_file() and (found := open_bundle(root)).artefacts == tuple(chosen):
        return found
    shutil.rmtree(root, ignore_errors=True)
    image = noise(contract)[0]
    image = image[..., 0] if contract.channels == 1 else image
    pixels = to_grid(image, contract)
    with torch.inference_mode():
        logits = built(model, contract)(torch.from_numpy(normalise(pixels, contract))).numpy().astype(np.float32)
    mask = to_image(mask_of(logits)[0], contract, image.shape[0], image.shape[1])
    Golden("noise", image, pixels, logits, mask).save(root / "golden")
    entries = []
    for one, path in zip(chosen, artefacts.values(), strict=True):
        tally = Tally([logits])
        tally.add(runtimes.load(one.runtime, path, threads=1)(feed(pixels, contract, one.io)), one.io)
        entries.append({"id": one.id, "bytes": path.stat().st_size, "golden": tally.to_dict(one.io)})
        (root / one.path).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, root / one.path)
    write_atomic(root / "contract.json", contract.to_json())
    write_json(root / "report.json", {"artefacts": entries})
    seal(root, chosen)
    return open_bundle(root)
