"""TensorRT engines in the report: measured on the device that built them, so never in a ratio with rows timed here.

An engine is bound to its GPU. Its figures are those that the kit's run.py and time_engine.py wrote there, which convert
put into the bundle; whether this machine could run the engine does not matter. torch-tensorrt, PyTorch's own route to
TensorRT, is timed here where it and an NVIDIA GPU are.
"""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from acwskd_edge import runtimes
from acwskd_edge.bench.latency import interleave
from acwskd_edge.bundle import Golden
from acwskd_edge.errors import MissingDependency
from acwskd_edge.preprocess import mask_of, normalise
from benchmarks.markup import bullets, number, scroll, table
from benchmarks.subjects import Subject
from benchmarks.table import milliseconds, ratio_text
from train.state import WEIGHTS

ROUTE = "torch-tensorrt"
PARTS = ("copy_in", "compute", "copy_out", "call")
SAME = ("gpu", "compute_capability", "tensorrt", "cuda", "driver", "l4t", "power_mode")  # what a ratio needs equal
HEADERS = ("model", "engine", "copy in", "compute", "copy out", "call", "p90 ms", "fps", "x base", "Dice", "verdict")
LEFT = {"model", "engine", "verdict"}


def engines_of(subjects: list[Subject]) -> list[dict[str, Any]]:
    """Every kit of every bundle, with what its device measured.

    Returns:
        For report.json, in the order of the subjects; `milliseconds`, `fps`, `dice` and `device` are null where no
        engine was built, `speedup` where the baseline has no such engine of the same device.
    """
    found = [
        described(subject, kit)
        for subject in subjects
        if subject.bundle
        for kit in subject.bundle.report.get("kits", [])
    ]
    for one in found:
        one["speedup"] = speedup(one, found)
    return found


def described(subject: Subject, kit: dict[str, Any]) -> dict[str, Any]:
    """One kit's engine."""
    measured = kit["device"]
    built, run, timed = (measured.get(stage, {}) for stage in ("build", "run", "time_engine"))
    target, precision, io = kit["id"].split("-")
    facts = {**measured.get("preflight", {}), **built.get("fingerprint", {}), **timed}
    return {
        "id": f"{subject.name}/{kit['id']}",
        "model": subject.name,
        "role": subject.role,
        "target": target,
        "precision": precision,
        "io": io,
        "state": kit["state"],
        "device": {key: facts.get(key) for key in ("board", *SAME)} if run else None,
        "milliseconds": timed.get("milliseconds"),
        "fps": timed.get("fps"),
        "dice": run.get("dice"),
        "reasons": run.get("reasons", []),
    }


def speedup(one: dict[str, Any], every: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How many times faster a whole call is than the baseline's, same precision, io, device and power mode.

    The ratio of two medians, measured one after the other: no interval.
    """
    if one["role"] == "baseline" or not one["milliseconds"]:
        return None
    for other in every:
        if other["role"] == "baseline" and other["milliseconds"] and all(
            one[key] == other[key] for key in ("target", "precision", "io")
        ):  # fmt: skip
            if any(one["device"][key] != other["device"][key] for key in SAME):
                continue
            ratio = other["milliseconds"]["call"]["p50"] / one["milliseconds"]["call"]["p50"]
            return {"against": other["id"], "ratio": round(ratio, 4)}
    return None


def second_route(subjects: list[Subject], runs: int, threads: int) -> dict[str, Any] | None:
    """The checkpoints compiled by torch-tensorrt and timed here, or why not; None where no bundle has a kit.

    Returns:
        For report.json: `skipped`, or `device` and `rows` with latency of the whole call and, on the golden vectors,
        the share of pixels that agree with the checkpoint; no Dice was measured.
    """
    wanted = [one for one in subjects if one.run and one.bundle and one.bundle.report.get("kits")]
    if not wanted:
        return None
    try:
        loaded = {one.name: runtimes.load(ROUTE, one.where / WEIGHTS, threads) for one in wanted}
    except MissingDependency as error:
        return {"skipped": error.what, "install": runtimes.RUNTIMES[ROUTE].install}
    import torch

    golden = {one.name: one.bundle.golden() for one in wanted if one.bundle}
    inputs = {one.name: normalise(golden[one.name][0].pixels, one.contract) for one in wanted}
    timed = interleave({name: lambda n=name: loaded[n](inputs[n]) for name in loaded}, runs)  # type: ignore[misc]
    rows = [
        {
            "model": one.name,
            "latency": timed[one.name].to_dict(),
            "argmax_agreement": agreement(loaded[one.name], golden[one.name], one),
        }
        for one in wanted
    ]
    return {"device": torch.cuda.get_device_name(), "rows": rows}


def agreement(runtime: runtimes.Runtime, golden: list[Golden], subject: Subject) -> float:
    """Share of the golden vectors' pixels, 0 to 1, that get the checkpoint's class."""
    equal = [
        mask_of(np.asarray(runtime(normalise(one.pixels, subject.contract)), np.float32)) == mask_of(one.logits)
        for one in golden
    ]
    return round(float(np.mean(equal)), 6)


# --- the same facts as text


def place(one: dict[str, Any]) -> str:
    """Where an engine was measured, for instance `Orin Nano, tensorrt 10.3.0, L4T 36.4.3, 15W`."""
    device = one["device"]
    named = device["board"] or device["gpu"] or f"a GPU of compute capability {device['compute_capability']}"
    more = [device["tensorrt"], device["l4t"] and f"L4T {device['l4t']}", device["power_mode"]]
    return ", ".join(str(part) for part in (named, *more) if part)


def cells(one: dict[str, Any]) -> list[str]:
    """One engine, in the order of `HEADERS`."""
    spent, dice = one["milliseconds"], one["dice"]
    verdict = one["state"] if one["state"] == "passed" else one["state"].upper()
    return [
        one["model"],
        one["id"].rpartition("/")[2],
        *(milliseconds(spent[part]["p50"]) if spent else "-" for part in PARTS),
        milliseconds(spent["call"]["p90"]) if spent else "-",
        f"{one['fps']:.0f}" if one["fps"] else "-",
        f"{ratio_text(one['speedup']['ratio'])}x" if one["speedup"] else "-",
        f"{dice['mean']:.4f}" if dice and dice["mean"] is not None else "-",
        verdict,
    ]


def grouped(engines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The engines that ran by where they did; those that did not run last, under an empty name."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(engines, key=lambda each: each["device"] is None):
        groups.setdefault(place(one) if one["device"] else "", []).append(one)
    return groups


def lines(report: dict[str, Any]) -> list[str]:
    """The engines on the screen; nothing where no bundle has a kit."""
    engines = report["engines"]
    if not engines:
        return []
    every = [list(HEADERS), *map(cells, engines)]
    widths = [max(len(line[i]) for line in every) for i in range(len(HEADERS))]

    def aligned(line: list[str]) -> str:
        padded = zip(HEADERS, line, widths, strict=True)
        return " ".join(t.ljust(w) if name in LEFT else t.rjust(w) for name, t, w in padded).rstrip()

    shown = ["", "engines, ms at p50 and Dice as measured on the device that built them", aligned(list(HEADERS))]
    for where, group in grouped(engines).items():
        if where:
            shown.append(f"measured on {where}:")
        shown += [aligned(cells(one)) for one in group]
    shown += [f"REJECTED {one['id']}: {'; '.join(one['reasons'])}" for one in engines if one["state"] == "rejected"]
    return [*shown, *route_lines(report)]


def route_lines(report: dict[str, Any]) -> list[str]:
    """torch-tensorrt in a line each."""
    route = report["torch_tensorrt"]
    if route is None:
        return []
    if "skipped" in route:
        return [f"{ROUTE}: not run here: {route['skipped']}; next: {route['install']}"]
    return [
        f"{ROUTE} here, on {route['device']}: {one['model']} fp32 {milliseconds(one['latency']['median_ms'])} ms a "
        f"call, {one['argmax_agreement']:.5f} of the golden pixels agree"
        for one in route["rows"]
    ]


def section_html(report: dict[str, Any]) -> str:
    """The engines on the page; empty where no bundle has a kit."""
    engines = report["engines"]
    if not engines:
        return ""
    tables = []
    for where, group in grouped(engines).items():
        rows = [engine_html(one) for one in group]
        note = f"Measured on {where}." if where else "No engine of these ran: each is built on its device, by its kit."
        tables.append(scroll(table(note, list(HEADERS), rows, range(2, 10)), note))
    told = [
        "Milliseconds at p50, one picture at a time: copy in, compute and copy out by CUDA events, the call by the "
        "host's clock. Dice is of the engine itself, on the gate's cases, on that device.",
        "Never compare them with rows that were timed on another machine. x base: the baseline's engine of the same "
        "precision, io, device and power mode; a ratio of medians measured one after the other.",
    ]
    return "".join(tables) + bullets([*told, *route_lines(report)])


def engine_html(one: dict[str, Any]) -> str:
    """One line of the table."""
    name, engine, *numbers, verdict = cells(one)
    kind = ' class="rejected"' if one["state"] == "rejected" else ""
    return (
        f'<tr{kind}><th scope="row">{escape(name)}</th><td>{escape(engine)}</td>'
        + "".join(map(number, numbers))
        + f'<td class="verdict">{escape(verdict)}</td></tr>'
    )
