"""A document of `measure.bench` on the screen."""

from __future__ import annotations

from typing import Any

COLUMNS = ("artefact", "golden", "MB", "cold ms", "peak MB", "model ms", "p90", "p99", "end to end", "x fp32")


def table(document: dict[str, Any]) -> str:
    """One line a row, then what the columns mean and where it was."""
    lines = [list(COLUMNS), *(cells(row) for row in document["rows"])]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    shown = [
        " ".join(text.ljust(widths[i]) if i < 2 else text.rjust(widths[i]) for i, text in enumerate(line)).rstrip()
        for line in lines
    ]
    notes = remarks(document["rows"])
    if (document["preprocessing"] or {}).get("state") == "FAILED":
        notes.append(f"preprocessing: {document['preprocessing']['detail']}")
    return "\n".join([*shown, *notes, *legend(document)])


def remarks(rows: list[dict[str, Any]]) -> list[str]:
    """What is wrong or missing, once for all rows that share it."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["state"] != "ok" and row["detail"]:
            found.setdefault(f"{row['state'] or 'not checked'}, {row['detail']}", []).append(row["id"])
    return [f"{', '.join(names)}: {what}" for what, names in found.items()]


def cells(row: dict[str, Any]) -> list[str]:
    """A row as text, in the order of `COLUMNS`."""
    fresh, model, whole = row["fresh"] or {}, row["model"]["latency"] or {}, row["end_to_end"]["latency"] or {}
    ratio = row["times_fp32"]
    return [
        row["id"],
        row["state"] or "not checked",
        f"{row['bytes'] / 1e6:.3f}",
        number(fresh.get("cold_start_ms")),
        number(fresh.get("peak_mb")),
        number(model.get("median_ms", model.get("mean_ms"))) if model else short(row["not_timed"]),
        number(model.get("p90_ms")),
        number(model.get("p99_ms")),
        number(whole.get("median_ms")),
        f"{ratio['ratio']:.2f}" if ratio else "",
    ]


def number(value: float | None) -> str:
    """Three significant digits; nothing for what is not known."""
    return "" if value is None else f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:.0f}"


def short(reason: str | None) -> str:
    """Why there is no latency, in a word."""
    return (reason or "not timed").partition(":")[0]


def legend(document: dict[str, Any]) -> list[str]:
    """Conditions, in two lines."""
    device, settings = document["device"], document["settings"]
    counts = sorted({row["model"]["latency"]["n"] for row in document["rows"] if row["model"]["latency"]})
    timed = f"{counts[0]} timed runs a row in alternation, medians" if counts else "no row was timed"
    place = " ".join(str(one) for one in (device["model"] or device["processor"], device["architecture"]) if one)
    lines = [f"{place}, {settings['threads']} thread(s), {timed}; x fp32: times faster than fp32 in the same runtime"]
    if device["emulated"]:
        lines.append(f"emulated by {device['emulated']}: proves answers, says nothing about speed")
    if document["surroundings"]["before"]["latency"]:
        before, after = (document["surroundings"][one]["latency"]["median_ms"] for one in ("before", "after"))
        lines.append(f"before the network {number(before)} ms, after it {number(after)} ms")
    return lines
