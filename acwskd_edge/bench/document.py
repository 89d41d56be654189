"""What every device answers with: one JSON document, whole after every step; docs/devices.md describes its keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from acwskd_edge import __version__
from acwskd_edge.bundle import MANIFEST, Artefact, Bundle
from acwskd_edge.errors import UsageError
from acwskd_edge.files import sha256

SCHEMA = 1
MODEL, END_TO_END = "model", "end_to_end"
BEFORE, AFTER = "before", "after"

Document = dict[str, Any]


def new(
    bundle: Bundle, chosen: list[Artefact], settings: dict[str, Any], device: Document, versions: Document
) -> Document:
    """A document with nothing measured in it.

    Args:
        settings: what the command line chose.
        device: kind (local, ssh, adb) and all that `board.board` says of it.
        versions: name -> version of everything that takes part.
    """
    facts = {
        "schema": SCHEMA,
        "bundle": {"name": bundle.contract.name, "manifest_sha256": sha256(bundle.root / MANIFEST)},
        "settings": settings,
        "versions": {"acwskd-edge": __version__, **versions},
        "device": device,
        "artefacts": [one.id for one in chosen],
    }
    return {
        "key": hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
        **facts,
        "made": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "complete": False,
        "preprocessing": None,
        "conditions": [],
        "surroundings": empty(BEFORE, AFTER),
        "rows": [empty_row(one, int(bundle.measured(one)["bytes"])) for one in chosen],
    }


def empty(*parts: str) -> dict[str, Any]:
    """Latencies of parts, none measured yet."""
    return {name: {"latency": None, "samples_ms": []} for name in parts}


def empty_row(one: Artefact, size: int) -> dict[str, Any]:
    """An artefact of which nothing is known here."""
    return {
        "id": one.id,
        "target": one.target,
        "precision": one.precision,
        "io": one.io,
        "runtime": one.runtime,
        "bytes": size,
        "state": None,  # ok, FAILED or skipped: its golden vectors on this device
        "detail": None,
        "fresh": None,
        **empty(MODEL, END_TO_END),
        "times_fp32": None,
        "not_timed": None,
    }


def load(path: Path | None) -> Document | None:
    """What an earlier run left; None where there is nothing.

    Raises:
        UsageError: the file is something else, which is not to be replaced.
    """
    if path is None or not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] == SCHEMA and isinstance(found["rows"], list):
            return dict(found)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UsageError(f"{path} is there and is no document of bench", hint="another name for --json, or remove it")


def timed(document: Document) -> Iterator[tuple[str, str, list[float], dict[str, Any]]]:
    """Rows that have a latency: artefact, runtime, milliseconds of the network alone, and what else is known.

    The last holds fresh, reasons (device, threads, state of the golden vectors) and the milliseconds of end_to_end,
    for a table that sets devices side by side.
    """
    device, threads = document["device"], document["settings"]["threads"]
    place = ", ".join(str(one) for one in (device["model"] or device["processor"], device["system"]) if one)
    for row in document["rows"]:
        if row[MODEL]["samples_ms"]:
            checked = f"golden vectors {row['state']}" if row["state"] else "golden vectors not checked"
            reasons = [f"measured on {place}: {threads} thread(s), {checked}"]
            yield (
                row["id"],
                row["runtime"],
                row[MODEL]["samples_ms"],
                {
                    "fresh": row["fresh"],
                    "reasons": reasons,
                    END_TO_END: row[END_TO_END]["samples_ms"],
                },
            )


def failed(document: Document) -> bool:
    """Whether anything on the device answers wrong."""
    checks = [document["preprocessing"] or {}, *document["rows"]]
    return any(one.get("state") == "FAILED" for one in checks)
