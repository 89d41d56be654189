"""report.json and pictures -> one HTML page that needs nothing but itself."""

from __future__ import annotations

from html import escape
from typing import Any

from benchmarks.cost import HOW
from benchmarks.engines import section_html
from benchmarks.markup import bullets, definitions, document, number, scroll, section, table
from benchmarks.pictures import Strip
from benchmarks.table import count, dice, milliseconds, ratio_text, short_reason, times

Report = dict[str, Any]

HOW_MEASURED = (
    "Latency is one call of the runtime on one image of the network's grid, from numpy array to numpy array: the "
    "network alone, without resizing, normalising or putting the mask back; io raw has normalising and argmax inside.",
    "Every row is warmed up until it no longer gets faster. Then all rows take turns, one timed run a round, each "
    "right after an untimed run of the same row; every second round goes backwards.",
    "The interval of a median is its 95 % confidence interval by order statistics. A speed ratio is the median over "
    "rounds of baseline / row within the round, so it can differ slightly from the ratio of the two medians.",
    "Ratios compare within one runtime and one io only: once with the baseline at the same precision, once with the "
    "baseline at fp32.",
    "Dice of an artefact was measured by executing that artefact in its runtime, on whole cases and on each case's own "
    "grid: per class the mean over the cases that have the class, then the mean over classes.",
    f"{HOW}: convolutions of the deployed graph only; batch norm, activations and upsampling are not counted. "
    "Parameters are the trainable ones of the checkpoint, before batch norm is folded.",
    "MB is 1,000,000 bytes on disk.",
)


def page(report: Report, strips: list[Strip], pareto: str, notices: list[str]) -> str:
    """The whole page.

    Args:
        report: as in report.json.
        strips: slices to show; empty when the data is not at hand, and then `notices` says why.
        pareto: inline SVG, or empty.
    """
    names = [one["name"] for one in report["subjects"]]
    title = f"{', '.join(names[:-1])} against {names[-1]}"
    engines = section_html(report)
    body = [
        header(report, title),
        section("Every checkpoint and artefact", main_table(report) + refusals(report)),
        section("TensorRT engines, on their own devices", engines) if engines else "",
        section("Dice against latency", plot(pareto)) if pareto else "",
        section("Dice per class", dice_tables(report)),
        section("What the masks look like", overlays(report, strips, notices)),
        section("What was compared", subjects_table(report)),
        section("How it was measured", bullets(HOW_MEASURED)),
        section("How to make it again", f'<pre tabindex="0">{escape(chr(10).join(report["commands"]))}</pre>'),
        section("Machine and versions", definitions({**report["machine"], **report["versions"]})),
    ]
    return document(title, "\n".join(body))


def plot(svg: str) -> str:
    """The Pareto plot, which scrolls sideways on a narrow screen."""
    return (
        f'<figure><div class="plot" role="region" tabindex="0" aria-label="Plot">{svg}</div><figcaption>'
        "Colour: model. Shape: runtime. Fill: precision. Area: size on disk. Only rows that were timed here; compare "
        "points of one shape.</figcaption></figure>"
    )


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
        "Precision",
        "io",
        "Parameters",
        "MACs",
        "MB",
        "Median ms (95 % CI)",
        "p90 ms",
        "Speed / baseline, same precision",
        "Speed / baseline fp32",
        "Dice",
        "Verdict",
    ]
    lines = [row_html(row, subjects[row["model"]]) for row in report["rows"]]
    ns = sorted({row["latency"]["n"] for row in report["rows"] if row["latency"]})
    runs = f"{ns[0]} timed runs a row" if ns else "nothing timed"
    threads = report["settings"]["threads"]
    note = f"One image at a time, {threads} thread(s), {runs}. {HOW}. Baseline rows are shaded."
    return scroll(table(note, head, lines, numeric=range(4, 12)), "Table of all rows")


def row_html(row: dict[str, Any], subject: dict[str, Any]) -> str:
    """One line of the main table."""
    latency = row["latency"]
    timed = number(short_reason(row)) + number("")
    if latency:
        interval = latency["median_ci95_ms"]
        low_high = "" if interval is None else " to ".join(milliseconds(value) for value in interval)
        timed = number(milliseconds(latency["median_ms"]), low_high) + number(milliseconds(latency["p90_ms"]))
    rejected = row["verdict"] == "rejected"
    kinds = " ".join(one for one, on in (("baseline", row["role"] == "baseline"), ("rejected", rejected)) if on)
    verdict = "REJECTED" if rejected else row["verdict"]
    style = "verdict reference" if row["verdict"] == "reference" else "verdict"
    return (
        f'<tr class="{kinds}"><th scope="row">{escape(row["model"])}</th>'
        + "".join(f"<td>{escape(row[key])}</td>" for key in ("runtime", "precision", "io"))
        + number(count(subject["parameters"]))
        + number(count(subject["macs"]))
        + number(f"{row['bytes'] / 1e6:.3f}")
        + timed
        + "".join(ratio_cell(row["speedup"][key]) for key in ("same_precision", "fp32"))
        + number(dice(row))
        + f'<td class="{style}">{escape(verdict)}</td></tr>'
    )


def ratio_cell(found: dict[str, Any] | None) -> str:
    """A speed ratio with its interval."""
    if found is None or found["ci95"] is None:
        return number(times(found))
    return number(times(found), " to ".join(ratio_text(value) for value in found["ci95"]))


def refusals(report: Report) -> str:
    """Why the gate refused what it refused."""
    refused = [row for row in report["rows"] if row["verdict"] == "rejected"]
    if not refused:
        return '<p class="meta">The gate refused no artefact.</p>'
    items = "".join(
        f"<li><strong>{escape(row['id'])}</strong>: {escape('; '.join(row['reasons']))}</li>" for row in refused
    )
    return (
        '<div class="box refused"><h3>Refused by the gate</h3><p>These were emitted and executed, lost more than the '
        f"tolerance allows, and are not in the bundle.</p><ul>{items}</ul></div>"
    )


def dice_tables(report: Report) -> str:
    """Checkpoints side by side, class by class; then every artefact."""
    rows = report["rows"]
    first = {
        one["name"]: next((r for r in rows if r["model"] == one["name"] and r["dice"]), None)
        for one in report["subjects"]
    }
    baseline = report["subjects"][-1]["name"]
    names = [name for name, row in first.items() if row]
    classes = [one["name"] for one in report["labels"][1:]]
    lines = []
    for key in [*classes, "mean"]:
        values = {name: first[name]["dice"].get(key) for name in names}  # type: ignore[index]
        cells = "".join(number(score_text(values[name])) for name in names)
        cells += "".join(difference(values[name], values.get(baseline)) for name in names if name != baseline)
        lines.append(f'<tr><th scope="row">{escape(key)}</th>{cells}</tr>')
    head = ["Class", *names, *(f"{name} minus {baseline}" for name in names if name != baseline)]
    data = report["data"]
    note = f"Checkpoints on {len(data['cases'])} {data['split']} cases."
    every = [
        f'<tr><th scope="row">{escape(row["id"])}</th>'
        + "".join(number(score_text((row["dice"] or {}).get(key))) for key in ["mean", *classes])
        + "</tr>"
        for row in rows
    ]
    whole = table("Each artefact, executed in its own runtime.", ["Row", "mean", *classes], every, range(1, 99))
    return (
        scroll(table(note, head, lines, range(1, 99)), "Dice per class of the checkpoints")
        + f"<details><summary>Every artefact</summary>{scroll(whole, 'Dice per class of every artefact')}</details>"
    )


def score_text(value: float | None) -> str:
    """Dice with four decimals; `-` where no case has the class."""
    return "-" if value is None else f"{value:.4f}"


def difference(ours: float | None, theirs: float | None) -> str:
    """A signed difference, marked when it is a loss."""
    if ours is None or theirs is None:
        return number("-")
    return number(f"{ours - theirs:+.4f}", kind="worse" if ours < theirs else "")


def overlays(report: Report, strips: list[Strip], notices: list[str]) -> str:
    """Image, truth and every model on each chosen slice."""
    if not strips:
        return f"<p>Not shown: {escape('; '.join(notices) or 'no case at hand')}.</p>"
    colours = "".join(
        f'<li><i style="background: rgb({", ".join(str(int(v)) for v in one["color"])})"></i>{escape(one["name"])}</li>'
        for one in report["labels"][1:]
    )
    figures = []
    for one in strips:
        pictures = "".join(
            f'<div><img src="{uri}" alt="{escape(f"{caption}, case {one.case}, slice {one.slice}")}">'
            f"<span>{escape(caption)}</span></div>"
            for caption, uri in one.pictures
        )
        figures.append(
            f'<figure><div class="strip">{pictures}</div><figcaption>{escape(one.case)}, slice {one.slice}: '
            f"{escape(one.why)}</figcaption></figure>"
        )
    note = f"<p>Chosen by the Dice of {escape(report['subjects'][0]['name'])}, the worst cases included.</p>"
    return f'{note}<ul class="palette">{colours}</ul>' + "".join(figures)


def subjects_table(report: Report) -> str:
    """Where each model comes from and what surrounds its network."""
    head = [
        "Model",
        "Role",
        "Network",
        "Objective",
        "Steps",
        "Seed",
        "Grid",
        "Before ms",
        "After ms",
        "Code",
        "Checkpoint",
    ]
    lines = []
    for one in report["subjects"]:
        around = one["surroundings_ms"] or {}
        timed = [milliseconds(around[key]) if key in around else "-" for key in ("before", "after")]
        texts = [one[key] for key in ("role", "network", "objective", "steps", "seed", "grid")] + timed
        texts += [one["code"], (one["hashes"]["checkpoint"] or "-")[:12]]
        cells = "".join(f"<td>{escape('-' if text is None else str(text))}</td>" for text in texts)
        lines.append(f'<tr><th scope="row">{escape(one["name"])}</th>{cells}</tr>')
    note = (
        "Before: image to network input; after: logits to mask on the image's grid; both in this library's numpy, "
        "median, and outside the latency above."
    )
    return scroll(table(note, head, lines, ()), "Provenance of the models")
