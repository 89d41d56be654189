"""Rows measured in a browser: the JSON file that the web demo's latency panel exports.

{"schema": 1,
 "manifest_sha256": "<of the bundle's manifest.json>",   or   "contract": "<its contract's name>",
 "artefact": "tflite-int8",       id in the bundle
 "runtime": "litert.js",          what the page ran it with
 "accelerator": "wasm",           optional: where
 "threads": 2,
 "isolated": true,                crossOriginIsolated: only then can a page use several threads
 "user_agent": "Mozilla/5.0 ...",
 "milliseconds": [5.1, 5.0, ...], the model alone, one per timed inference, in order
 "stages": {"end_to_end": [...]}} optional: from raw pixels to mask

Browsers round their clocks, some to a whole millisecond: a time may be 0, a median may not.
"""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any

from acwskd_edge.bench.latency import MIN_RUNS
from acwskd_edge.errors import UsageError
from benchmarks.elsewhere import row_elsewhere, summary
from benchmarks.rows import Row
from benchmarks.subjects import Subject

SCHEMA = 1
KINDS: dict[str, type | tuple[type, ...]] = {
    "artefact": str,
    "runtime": str,
    "threads": int,
    "isolated": bool,
    "user_agent": str,
    "milliseconds": list,
}
DEVICE = "browser"


def browser_row(path: Path, facts: dict[str, Any], subjects: list[Subject]) -> Row:
    """One file as a row.

    Args:
        facts: what the file holds.
    Raises:
        UsageError: it is malformed, or of none of the subjects' bundles.
    """
    check(path, facts)
    subject = owner(path, facts, subjects)
    known = [entry["id"] for entry in subject.entries]
    if facts["artefact"] not in known:
        raise UsageError(f"{path}: {subject.name} has no artefact {facts['artefact']!r}", allowed=", ".join(known))
    runtime = " ".join(filter(None, (facts["runtime"], facts.get("accelerator"))))
    row = row_elsewhere(subject, facts["artefact"], DEVICE, runtime, facts["milliseconds"])
    if whole := facts.get("stages", {}).get("end_to_end"):
        check_times(path, whole)
        row.end_to_end = {**summary(whole), "speedup": dict.fromkeys(("same_precision", "fp32"))}
    isolated = "isolated" if facts["isolated"] else "not isolated"
    row.reasons = [f"measured in a browser: {facts['threads']} thread(s), {isolated}, {facts['user_agent']}"]
    return row


def check(path: Path, facts: dict[str, Any]) -> None:
    """Refuse what the web demo did not write.

    Raises:
        UsageError: another schema, a field that is missing or of the wrong kind; names it.
    """
    if facts.get("schema") != SCHEMA:
        raise UsageError(f"{path} is not a browser measurement of schema {SCHEMA}", hint="export it again")
    for name, kind in KINDS.items():
        if not isinstance(facts.get(name), kind):
            raise UsageError(f"{path}: {name} is {facts.get(name)!r}", allowed=f"a {getattr(kind, '__name__', kind)}")
    check_times(path, facts["milliseconds"])
    if not isinstance(facts.get("stages", {}), dict):
        raise UsageError(f"{path}: stages is {facts['stages']!r}", allowed="end_to_end: a list of milliseconds")


def check_times(path: Path, times: Any) -> None:
    """Refuse what is no list of durations.

    Raises:
        UsageError: too few, not numbers, negative, or most of them below what the browser's clock resolves.
    """
    numbers = isinstance(times, list) and all(isinstance(v, (int, float)) and 0 <= v < math.inf for v in times)
    if not numbers or len(times) < MIN_RUNS or median(times) == 0:
        raise UsageError(f"{path}: milliseconds", allowed=f"{MIN_RUNS} or more numbers, most of them above 0")


def owner(path: Path, facts: dict[str, Any], subjects: list[Subject]) -> Subject:
    """The subject whose bundle was measured: by the manifest's hash or, without one, by the contract's name.

    Raises:
        UsageError: none of them, or several of one name.
    """
    if facts.get("manifest_sha256"):
        found = [one for one in subjects if one.bundle and one.hashes()["manifest"] == facts["manifest_sha256"]]
    else:
        found = [one for one in subjects if one.bundle and one.contract.name == facts.get("contract")]
    if len({str(one.where.resolve()) for one in found}) != 1:
        raise UsageError(
            f"{path} was measured on {'no bundle' if not found else 'more than one'} of those given",
            allowed=f"a bundle of {', '.join(one.name for one in subjects)}, by the SHA-256 of its manifest",
        )
    return found[0]
