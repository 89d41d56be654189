"""`--measured FILE.json`: rows of what other machines measured, by the web demo or by `python -m benchmarks.device`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from acwskd_edge.bench import document
from acwskd_edge.errors import UsageError
from benchmarks.browser import browser_row, owner
from benchmarks.elsewhere import row_elsewhere, set_ratios, summary
from benchmarks.rows import Row
from benchmarks.subjects import Subject


def measured_rows(files: list[Path], subjects: list[Subject]) -> list[Row]:
    """The rows of every file.

    Raises:
        UsageError: a file that is absent, malformed or of none of the subjects' bundles.
    """
    rows: list[Row] = []
    for path in files:
        facts = read(path)
        rows += device_rows(path, subjects) if "rows" in facts else [browser_row(path, facts, subjects)]
    set_ratios(rows)
    return rows


def read(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UsageError: it is none.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read ({error})", allowed="a file of the web demo or benchmarks.device"
        ) from error
    if not isinstance(facts, dict):
        raise UsageError(f"{path} holds no JSON object", allowed="a file of the web demo or benchmarks.device")
    return facts


def device_rows(path: Path, subjects: list[Subject]) -> list[Row]:
    """The timed rows of a device's document, under the device's name."""
    found = document.load(path)
    assert found is not None
    subject = owner(path, found["bundle"], subjects)
    device = f"{found['device']['kind']}: {found['device']['model'] or found['device']['processor']}"
    rows = []
    for artefact, runtime, milliseconds, facts in document.timed(found):
        whole = facts.pop(document.END_TO_END)
        row = row_elsewhere(subject, artefact, device, runtime, milliseconds, **facts)
        if whole:
            row.end_to_end = {**summary(whole), "speedup": dict.fromkeys(("same_precision", "fp32"))}
        rows.append(row)
    return rows
