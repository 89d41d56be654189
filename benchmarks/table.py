"""The table on the screen; the page uses the same words for the same values."""

from __future__ import annotations

from typing import Any

NAME = 18  # characters of a model's name
HEADERS = (
    "model",
    "runtime",
    "prec",
    "io",
    "params",
    "MACs",
    "MB",
    "median",
    "p90 ms",
    "x same",
    "x fp32",
    "x all",
    "Dice",
    "verdict",
)
LEFT = {"model", "runtime", "prec", "io", "verdict"}


def count(value: int | None) -> str:
    """Parameters or MACs with a unit: `0.49 M`, `48.2 G`; `-` if unknown."""
    if value is None:
        return "-"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def milliseconds(value: float) -> str:
    """Three significant digits, at most three decimals: `0.123`, `4.56`, `123`."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def times(found: dict[str, Any] | None) -> str:
    """A speed ratio: `1.25x`, `12.3x`; `-` where there is none."""
    return f"{ratio_text(found['ratio'])}x" if found else "-"


def ratio_text(value: float) -> str:
    """Three significant digits, zeros kept: `0.96`, `1.40`, `12.3`, `123`."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def dice(row: dict[str, Any]) -> str:
    """Mean Dice of a row; `-` where it was not measured."""
    return f"{row['dice']['mean']:.4f}" if row["dice"] and row["dice"]["mean"] is not None else "-"


def cells(row: dict[str, Any], subject: dict[str, Any]) -> list[str]:
    """One row as text, in the order of `HEADERS`."""
    latency = row["latency"]
    name = row["model"] if len(row["model"]) <= NAME else row["model"][: NAME - 1] + "…"
    return [
        name,
        runtime(row),
        row["precision"],
        row["io"],
        count(subject["parameters"]),
        count(subject["macs"]),
        f"{row['bytes'] / 1e6:.3f}",
        milliseconds(latency["median_ms"]) if latency else short_reason(row),
        milliseconds(latency["p90_ms"]) if latency else "",
        times(row["speedup"]["same_precision"]),
        times(row["speedup"]["fp32"]),
        times(whole_ratio(row)),
        dice(row),
        verdict(row),
    ]


def whole_ratio(row: dict[str, Any]) -> dict[str, Any] | None:
    """Speed against the baseline from raw pixels to mask, at the same precision or, without one, at fp32."""
    whole = row.get("end_to_end")  # absent from reports of schema 1, as are device, computes_in and failed
    return whole and (whole["speedup"]["same_precision"] or whole["speedup"]["fp32"])


def verdict(row: dict[str, Any]) -> str:
    """In capitals where something is wrong."""
    if row.get("failed"):
        return "FAILED"
    return row["verdict"].upper() if row["verdict"] in ("rejected", "worse") else str(row["verdict"])


def runtime(row: dict[str, Any]) -> str:
    """Where a row ran, and the float type it was computed in where that is not its artefact's."""
    place = row["runtime"] if row.get("device", "local") == "local" else f"{row['runtime']} {row['device']}"
    chosen = row.get("computes_in")
    return f"{place.removesuffix('-default')} ({chosen})" if chosen not in (None, "f32") else place


def short_reason(row: dict[str, Any]) -> str:
    """Why there is no latency, in a word or three."""
    if row["verdict"] == "rejected" or row.get("failed"):
        return "-"
    return str(row["not_timed"] or "-").partition(":")[0]


def text_table(report: dict[str, Any]) -> str:
    """The whole table, the refusals with their reasons, and what the columns mean."""
    subjects = {one["name"]: one for one in report["subjects"]}
    lines = [cells(row, subjects[row["model"]]) for row in report["rows"]]
    widths = [max(len(line[i]) for line in [list(HEADERS), *lines]) for i in range(len(HEADERS))]
    shown = []
    for line in [list(HEADERS), *lines]:
        padded = [
            text.ljust(width) if name in LEFT else text.rjust(width)
            for name, text, width in zip(HEADERS, line, widths, strict=True)
        ]
        shown.append(" ".join(padded).rstrip())
    for row in report["rows"]:
        if row.get("failed"):
            shown.append(f"FAILED {row['id']}: {row['failed']}")
        elif row["verdict"] in ("rejected", "worse"):
            shown.append(f"{row['verdict'].upper()} {row['id']}: {'; '.join(row['reasons'])}")
    return "\n".join([*shown, *legend(report)])


def legend(report: dict[str, Any]) -> list[str]:
    """Units and conditions, in a few lines."""
    data, settings = report["data"], report["settings"]
    return [
        f"latency of the network in ms, {settings['threads']} thread(s), {runs_text(report)} in alternation; "
        "MACs, torch.utils.flop_counter / 2",
        "x same, x fp32: times faster than the baseline's same precision, fp32, in the same runtime and io;",
        f"x all: raw pixels to mask, same precision or else fp32; Dice: {len(data['cases'])} {data['split']} cases",
    ]


def runs_text(report: dict[str, Any]) -> str:
    """How often each row was timed: `50 timed runs a row`, `20 to 200 timed runs a row`."""
    runs = sorted({row["latency"]["n"] for row in report["rows"] if row["latency"]})
    if not runs:
        return "no row timed"
    return f"{runs[0]} timed runs a row" if len(runs) == 1 else f"{runs[0]} to {runs[-1]} timed runs a row"
