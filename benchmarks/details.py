"""The page's smaller tables: the whole way, cold start, Dice per class, parity, what runs it, provenance, overlays."""

from __future__ import annotations

from html import escape
from typing import Any

from benchmarks.graphcost import HOW as GRAPH
from benchmarks.markup import number, ratio_cell, scroll, table
from benchmarks.pictures import Strip
from benchmarks.table import milliseconds, runtime, whole_ratio

Report = dict[str, Any]


def whole_table(report: Report) -> str:
    """Before, network, after and all of it, row by row."""
    around = {one["name"]: one["around_ms"] for one in report["subjects"]}
    lines = []
    for row in report["rows"]:
        whole, latency = row["end_to_end"], row["latency"]
        if not whole or not latency:
            continue
        beside = around[row["model"]][row["io"]]
        share = latency["median_ms"] / whole["median_ms"]
        lines.append(
            line(row)
            + "".join(number(milliseconds(v)) for v in (beside["before"], latency["median_ms"], beside["after"]))
            + number(milliseconds(whole["median_ms"]), interval(whole))
            + number(f"{100 * share:.0f} %")
            + ratio_cell(whole_ratio(row))
            + "</tr>"
        )
    if not lines:
        return "<p>No row was timed.</p>"
    head = [
        "Row",
        "Runtime",
        "Before ms",
        "Network ms",
        "After ms",
        "End to end ms",
        "Network's share",
        "Speed / baseline",
    ]
    note = (
        f"One image of {' x '.join(map(str, report['image']))}. Before: resize to the grid, normalise; after: argmax, "
        "mask onto the image. The parts are timed apart, so they need not add up to the whole."
    )
    return scroll(table(note, head, lines, range(2, 8)), "From raw pixels to mask")


def line(row: dict[str, Any]) -> str:
    """The start of a row: its id and runtime."""
    kind = "baseline" if row["role"] == "baseline" else ""
    return f'<tr class="{kind}"><th scope="row">{escape(row["id"])}</th><td>{escape(runtime(row))}</td>'


def interval(timings: dict[str, Any]) -> str:
    """The median's interval; nothing without one."""
    ends = timings["median_ci95_ms"]
    return "" if ends is None else " to ".join(milliseconds(value) for value in ends)


def fresh_table(report: Report) -> str:
    """What the first answer costs, and the memory."""
    lines = []
    for row in report["rows"]:
        if facts := row["fresh"]:
            times = "".join(
                number(milliseconds(facts[k])) for k in ("import_ms", "load_ms", "first_ms", "cold_start_ms")
            )
            sizes = "".join(number("-" if facts[k] is None else f"{facts[k]:.1f}") for k in ("peak_mb", "model_mb"))
            lines.append(f"{line(row)}{times}{sizes}</tr>")
    if not lines:
        return "<p>No row was started in a process of its own.</p>"
    head = ["Row", "Runtime", "Import ms", "Load ms", "First ms", "Load and first ms", "Peak MB", "Of it the model MB"]
    note = "Median of up to three fresh processes. Model: peak above the process with its runtime imported."
    return scroll(table(note, head, lines, range(2, 8)), "Cold start and memory")


def dice_tables(report: Report) -> str:
    """Checkpoints side by side, class by class; then every artefact and what it lost to its checkpoint."""
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
    every = [changes(row, first[row["model"]], ["mean", *classes]) for row in rows]
    whole = table(
        "Each artefact, executed in its runtime; below, the change to its checkpoint.",
        ["Row", "mean", *classes],
        every,
        range(1, 99),
    )
    return (
        scroll(table(note, head, lines, range(1, 99)), "Dice per class of the checkpoints")
        + f"<details open><summary>Every artefact</summary>{scroll(whole, 'Dice of every artefact')}</details>"
    )


def changes(row: dict[str, Any], checkpoint: dict[str, Any] | None, keys: list[str]) -> str:
    """A row's Dice per class, the change below it."""
    cells, before = [], (checkpoint or {}).get("dice") or {}
    for key in keys:
        now, then = (row["dice"] or {}).get(key), before.get(key)
        below = "" if now is None or then is None or row is checkpoint else f"{now - then:+.4f}"
        lost = below.startswith("-") and below != "-0.0000"
        cells.append(number(score_text(now), below, "lost" if lost else ""))
    return f'<tr><th scope="row">{escape(row["id"])}</th>{"".join(cells)}</tr>'


def score_text(value: float | None) -> str:
    """Dice with four decimals; `-` where no case has the class."""
    return "-" if value is None else f"{value:.4f}"


def difference(ours: float | None, theirs: float | None) -> str:
    """A signed difference, marked when it is a loss."""
    if ours is None or theirs is None:
        return number("-")
    return number(f"{ours - theirs:+.4f}", kind="worse" if ours < theirs else "")


def ladder_table(report: Report) -> str:
    """Step by step on the golden slices, and against the checkpoint on all cases."""
    lines = []
    for row in report["rows"]:
        if row["ladder"] or row["agreement"]:
            steps = row["ladder"] or {}
            cells = [step_cell(steps.get(name)) for name in ("torch_onnx", "onnx_target", "torch_target")]
            lines.append(f"{line(row)}{''.join(cells)}{step_cell(row['agreement'])}</tr>")
    if not lines:
        return "<p>No row has golden slices to be compared on.</p>"
    slices = max(((row["ladder"] or {}).get("slices", 0) for row in report["rows"]), default=0)
    data = report["data"]
    note = (
        f"Share of pixels of equal class, and the largest change of a logit. The first three columns: {slices} golden "
        f"slices, executed here. The last: {len(data['cases'])} {data['split']} cases."
    )
    head = ["Row", "Runtime", "torch to ONNX fp32", "ONNX fp32 to this", "torch to this", "torch to this, all cases"]
    return scroll(table(note, head, lines, range(2, 6)), "Parity")


def step_cell(found: dict[str, Any] | None) -> str:
    """Agreement, and the logit error under it."""
    if not found or found.get("argmax_agreement") is None:
        return number("-")
    error = found.get("max_logit_error")
    return number(f"{100 * found['argmax_agreement']:.3f} %", "masks only" if error is None else f"logits {error:.2g}")


def coverage_table(report: Report) -> str:
    """Delegates, providers and kernels."""
    lines = []
    for row in report["rows"]:
        if facts := row["coverage"]:
            whole = {True: "whole graph", False: "in parts", None: "decided on the device"}[facts["whole_graph"]]
            share = "" if facts["covered"] is None else f"{facts['covered']} of {facts['total']} operations"
            parts = "" if facts["partitions"] is None else f", {facts['partitions']} partition(s)"
            outside = ", ".join(f"{n} {name}" for name, n in facts["outside"].items()) or "none"
            kernels = ", ".join(f"{n} {name}" for name, n in facts["kernels"].items())
            kind = "baseline" if row["role"] == "baseline" else ""
            lines.append(
                f'<tr class="{kind}"><th scope="row">{escape(row["id"])}</th><td>{escape(facts["engine"])}</td>'
                f'<td>{whole}<span class="sub">{share}{parts}</span></td><td>{escape(outside)}</td>'
                f'<td class="long">{escape(kernels)}</td></tr>'
            )
    if not lines:
        return "<p>No runtime here says what it does.</p>"
    head = ["Row", "Engine", "Takes", "Outside it", "Kernels"]
    note = (
        "LiteRT: partitions of the XNNPACK delegate. ONNX Runtime, OpenVINO: nodes after the runtime's own rewriting."
    )
    return scroll(table(note, head, lines, ()), "What really runs it")


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
        "MACs by flop_counter",
        "MACs of the ONNX graph",
        "FLOPs",
        "Code",
        "Checkpoint",
    ]
    lines = []
    for one in report["subjects"]:
        counts = [one["macs_by"]["flop_counter"], one["macs_by"]["onnx_graph"], one["flops"]]
        texts = [one[key] for key in ("role", "network", "objective", "steps", "seed", "grid")]
        texts += [None if value is None else f"{value:,}" for value in counts]
        texts += [one["code"], (one["hashes"]["checkpoint"] or "-")[:12]]
        cells = "".join(f"<td>{escape('-' if text is None else str(text))}</td>" for text in texts)
        lines.append(f'<tr><th scope="row">{escape(one["name"])}</th>{cells}</tr>')
    pairs = [one["macs_by"] for one in report["subjects"] if None not in one["macs_by"].values()]
    agree = all(one["flop_counter"] == one["onnx_graph"] for one in pairs)
    told = "The two counts agree." if agree else "THE TWO COUNTS DISAGREE."
    note = f"MACs by torch.utils.flop_counter, FLOPs / 2, and by {GRAPH}. {told if pairs else 'Nothing to compare.'}"
    return scroll(table(note, head, lines, ()), "Provenance of the models")


def machine_facts(report: Report) -> dict[str, Any]:
    """Machine, what it did while it measured, versions."""
    seen = report["conditions"]
    before, after = seen["before"], seen["after"]
    cores = seen["cores"]

    def both(name: str) -> str:
        pair = [before[name], after[name]]
        texts = ["not readable" if not value or value == [None] else str(value) for value in pair]
        return texts[0] if texts[0] == texts[1] else f"{texts[0]} before, {texts[1]} after"

    def percent(value: float | None) -> str:
        return "not readable" if value is None else f"{100 * value:.1f} % of its processor time"

    return {
        **report["machine"],
        "pinned to cores": "not possible here" if cores is None else ", ".join(map(str, cores)),
        "clock, MHz": both("mhz"),
        "governor": both("governor"),
        "temperature, °C": both("celsius"),
        "throttled": both("throttled"),
        "load average": both("load_average"),
        "taken by other processes": percent(seen["others"]),
        "withheld by the hypervisor": percent(seen["stolen"]),
        "timing took": f"{seen['seconds']:.0f} s",
        **report["versions"],
    }
