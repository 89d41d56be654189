"""report.json and pictures -> one HTML page that needs nothing but itself."""

from __future__ import annotations

from html import escape
from typing import Any

from benchmarks.cost import HOW
from benchmarks.details import (
    coverage_table,
    dice_tables,
    fresh_table,
    ladder_table,
    machine_facts,
    overlays,
    subjects_table,
    whole_table,
)
from benchmarks.engines import section_html
from benchmarks.markup import bullets, definitions, document, number, ratio_cell, scroll, section, table
from benchmarks.pictures import Strip
from benchmarks.table import count, dice, milliseconds, runs_text, runtime, short_reason, times, verdict, whole_ratio

Report = dict[str, Any]

HOW_MEASURED = (
    "Latency is one call of the runtime on one image of the network's grid, from numpy array to numpy array: the "
    "network alone, without resizing, normalising or putting the mask back; io raw has normalising and argmax inside.",
    "End to end starts at the raw pixels of one image as they lie in a file, the same for all rows, and ends at the "
    "mask on that image's grid; what is before and after the network runs in this library's numpy.",
    "Every row is warmed up until it no longer gets faster. Then all rows of one runtime take turns, one timed run a "
    "round, each right after an untimed run of the same row; every second round goes backwards. The rounds end when "
    "every median's interval is as narrow as asked for, or the time is spent; the report says which.",
    "The process is held to as many cores as it has threads. p90 and p99 are nearest ranks: with fewer than 100 runs "
    "p99 is the slowest of them.",
    "Cold start and memory come from processes of their own that import the artefact's runtime alone: load plus first "
    "inference, and the largest resident size. The file lies in the page cache by then.",
    "The interval of a median is its 95 % confidence interval by order statistics. A speed ratio is the median over "
    "rounds of baseline / row within the round, so it can differ slightly from the ratio of the two medians.",
    "Ratios compare within one runtime and one io only: once with the baseline at the same precision, once with the "
    "baseline at fp32.",
    "Dice of an artefact was measured by executing that artefact in its runtime, on whole cases and on each case's own "
    "grid: per class the mean over the cases that have the class, then the mean over classes.",
    f"{HOW}: convolutions of the deployed graph only; batch norm, activations and upsampling are not counted. FLOPs "
    "are twice the MACs. Parameters are the trainable ones of the checkpoint, before batch norm is folded.",
    "The same file in a further runtime (OpenVINO, torch.compile) is executed and scored there; no Dice is copied.",
    "MB is 1,000,000 bytes on disk.",
)


def page(report: Report, strips: list[Strip], plots: dict[str, str], notices: list[str]) -> str:
    """The whole page.

    Args:
        report: as in report.json.
        strips: slices to show; empty when the data is not at hand, and then `notices` says why.
        plots: title -> inline SVG.
    """
    names = [one["name"] for one in report["subjects"]]
    title = f"{', '.join(names[:-1])} against {names[-1]}"
    engines = section_html(report)
    body = [
        header(report, title),
        section("Every checkpoint and artefact", main_table(report) + refusals(report)),
        section("TensorRT engines, on their own devices", engines) if engines else "",
        section("Dice, latency, size", pareto(plots)) if plots else "",
        section("From raw pixels to mask", whole_table(report)),
        section("Cold start and memory", fresh_table(report)),
        section("Dice per class", dice_tables(report)),
        section("Parity: checkpoint, ONNX, target", ladder_table(report)),
        section("What the masks look like", overlays(report, strips, notices)),
        section("What really runs it", coverage_table(report)),
        section("What was compared", subjects_table(report)),
        section("How it was measured", bullets(HOW_MEASURED)),
        section("How to make it again", f'<pre tabindex="0">{escape(chr(10).join(report["commands"]))}</pre>'),
        section("Machine and versions", definitions(machine_facts(report))),
    ]
    return document(title, "\n".join(body))


def pareto(plots: dict[str, str]) -> str:
    """The plots side by side where there is room; each scrolls sideways on a narrow screen."""
    figures = "".join(
        f'<figure><figcaption>{escape(title)}</figcaption><div class="plot" role="region" tabindex="0" '
        f'aria-label="{escape(title)}">{svg}</div></figure>'
        for title, svg in plots.items()
    )
    note = (
        "Colour: model. Shape: runtime. Fill: precision. Area: size on disk. Above the dotted line lies no row: none "
        "is both better and cheaper than those on it. Compare times among points of one shape."
    )
    return f'<p class="meta">{note}</p><div class="plots">{figures}</div>'


def header(report: Report, title: str) -> str:
    """Title, honest summary, warnings."""
    data = report["data"]
    told = "".join(f'<p class="headline">{escape(one)}</p>' for one in report["headlines"])
    return (
        f"<header><h1>{escape(title)}</h1>"
        f'<p class="meta">{escape(data["kind"])}, {len(data["cases"])} {escape(data["split"])} cases, '
        f"{escape(report['made'])}</p>{told}"
        f'<aside class="box warn" aria-label="Warnings"><h2>Before you use these numbers</h2>'
        f"{bullets(report['warnings'])}</aside></header>"
    )


def main_table(report: Report) -> str:
    """One line a row; refused artefacts stand among the others."""
    subjects = {one["name"]: one for one in report["subjects"]}
    head = [
        "Model",
        "Runtime",
        "Precision, io",
        "MACs, parameters",
        "MB on disk, peak",
        "Median ms (95 % CI)",
        "p90, p99 ms",
        "Speed / baseline, same precision",
        "Speed / baseline fp32",
        "End to end ms, speed",
        "Dice",
        "Verdict",
    ]
    lines = [row_html(row, subjects[row["model"]]) for row in report["rows"]]
    threads = report["settings"]["threads"]
    note = f"One image at a time, {threads} thread(s), {runs_text(report)}. {HOW}. Baseline rows are shaded."
    return scroll(table(note, head, lines, numeric=range(3, 10)), "Table of all rows")


def row_html(row: dict[str, Any], subject: dict[str, Any]) -> str:
    """One line of the main table."""
    latency, whole, fresh = row["latency"], row["end_to_end"], row["fresh"]
    timed = number(short_reason(row)) + number("")
    if latency:
        tail = milliseconds(latency["p99_ms"])
        timed = number(milliseconds(latency["median_ms"]), interval_text(latency["median_ci95_ms"]))
        timed += number(milliseconds(latency["p90_ms"]), tail)
    bad = row["failed"] or row["verdict"] in ("rejected", "worse")
    kinds = " ".join(one for one, on in (("baseline", row["role"] == "baseline"), ("rejected", bad)) if on)
    style = "verdict reference" if row["verdict"] in ("reference", "not judged") else "verdict"
    return (
        f'<tr class="{kinds}"><th scope="row">{escape(row["model"])}</th>'
        + f'<td>{escape(runtime(row))}</td><td>{escape(row["precision"])}<span class="sub">{row["io"]}</span></td>'
        + number(count(subject["macs"]), count(subject["parameters"]))
        + number(f"{row['bytes'] / 1e6:.3f}", f"{fresh['peak_mb']:.0f}" if fresh and fresh["peak_mb"] else "-")
        + timed
        + "".join(ratio_cell(row["speedup"][key]) for key in ("same_precision", "fp32"))
        + number(milliseconds(whole["median_ms"]) if whole else "-", times(whole_ratio(row)) if whole else "")
        + number(dice(row))
        + f'<td class="{style}">{escape(verdict(row))}</td></tr>'
    )


def interval_text(interval: list[float] | None) -> str:
    """Both ends in milliseconds; nothing without an interval."""
    return "" if interval is None else " to ".join(milliseconds(value) for value in interval)


def refusals(report: Report) -> str:
    """Why the gate refused what it refused, what lost Dice in a further runtime, and what could not be measured."""
    parts = [
        box(
            "Refused by the gate",
            "These were emitted and executed, lost more than the tolerance allows, and are not in the bundle.",
            [(row["id"], "; ".join(row["reasons"])) for row in report["rows"] if row["verdict"] == "rejected"],
        ),
        box(
            "Worse in a further runtime",
            "The gate passed these artefacts in their own runtime; in this one they lose more than it allows.",
            [(row["id"], "; ".join(row["reasons"])) for row in report["rows"] if row["verdict"] == "worse"],
        ),
        box(
            "Failed",
            "These could not be measured; the same command tries them again.",
            [(row["id"], row["failed"]) for row in report["rows"] if row["failed"]],
        ),
    ]
    elsewhere = [f"{row['id']}: {'; '.join(row['reasons'])}" for row in report["rows"] if row["device"] != "local"]
    notes = bullets(elsewhere) if elsewhere else ""
    return "".join(parts) + notes if any(parts) else f'<p class="meta">The gate refused no artefact.</p>{notes}'


def box(title: str, note: str, items: list[tuple[str, str]]) -> str:
    """A red box with a list; nothing without items."""
    if not items:
        return ""
    listed = "".join(f"<li><strong>{escape(name)}</strong>: {escape(why)}</li>" for name, why in items)
    return f'<div class="box refused"><h3>{escape(title)}</h3><p>{escape(note)}</p><ul>{listed}</ul></div>'
