"""What a report says in sentences: headlines, warnings, commands. All of it from the facts, none of it fixed praise."""

from __future__ import annotations

import shlex
from typing import Any

from benchmarks.subjects import Subject
from benchmarks.table import ratio_text
from train.recipe import Recipe

RUNTIME_NAMES = {"litert": "LiteRT", "onnxruntime": "ONNX Runtime", "torch": "PyTorch eager"}
PREFERRED = ("litert", "onnxruntime", "torch")  # what phones run, what servers run, what trained it
BUSY = 0.5  # load average per core above which absolute times are inflated


def headlines(report: dict[str, Any]) -> list[str]:
    """One sentence per student, and one on what the gate refused."""
    rows = report["rows"]
    students = [one["name"] for one in report["subjects"] if one["role"] == "student"]
    sentences = [sentence for name in students if (sentence := headline(name, report))]
    artefacts = [row for row in rows if row["artefact"] != "checkpoint"]
    refused = [row["id"] for row in artefacts if row["verdict"] == "rejected"]
    if refused:
        sentences.append(
            f"The gate refused {len(refused)} of {len(artefacts)} artefacts, shown below with the reasons: "
            f"{', '.join(refused)}."
        )
    return sentences


def headline(student: str, report: dict[str, Any]) -> str:
    """Speed and Dice of a student against the baseline in one runtime at fp32; Dice alone if nothing was timed."""
    own = [row for row in report["rows"] if row["model"] == student and row["precision"] == "fp32"]
    own = [row for row in own if row["io"] == "tensor" and row["dice"]]
    for runtime in PREFERRED:
        for row in own:
            ratio = row["speedup"]["same_precision"]
            if row["runtime"] == runtime and ratio:
                other = next(one for one in report["rows"] if one["id"] == ratio["against"])
                return f"{speed_sentence(row, other, report['settings']['threads'])}, {dice_part(row, other, report)}."
    others = [row for row in report["rows"] if row["role"] == "baseline" and row["dice"]]
    if not own or not others:
        return ""
    return f"{student} was not timed against {others[0]['model']}; {dice_part(own[0], others[0], report)}."


def speed_sentence(row: dict[str, Any], other: dict[str, Any], threads: int) -> str:
    """Faster, slower, or no difference that the measurement can show."""
    found = row["speedup"]["same_precision"]
    ratio, (low, high) = found["ratio"], found["ci95"] or (found["ratio"], found["ratio"])
    place = f"{RUNTIME_NAMES.get(row['runtime'], row['runtime'])} {row['precision']}"
    how = f"median of {row['latency']['n']} paired rounds, {threads} thread{'s' if threads > 1 else ''}"
    if low <= 1 <= high:
        return (
            f"{row['model']} and {other['model']} are equally fast in {place} as far as this measurement shows "
            f"({how}, ratio {ratio:.2f}, 95 % CI {low:.2f} to {high:.2f})"
        )
    word = "faster" if ratio > 1 else "slower"
    if ratio < 1:
        ratio, low, high = 1 / ratio, 1 / high, 1 / low
    return (
        f"{row['model']} is {ratio_text(ratio)} x {word} than {other['model']} in {place} "
        f"({how}, 95 % CI {ratio_text(low)} to {ratio_text(high)})"
    )


def dice_part(row: dict[str, Any], other: dict[str, Any], report: dict[str, Any]) -> str:
    """Dice of two rows and what it was measured on."""
    data = report["data"]
    ours, theirs = (side["dice"]["mean"] for side in (row, other))
    shown = ["not defined" if value is None else f"{value:.3f}" for value in (ours, theirs)]
    return f"mean Dice {shown[0]} against {shown[1]} on {len(data['cases'])} {data['split']} cases ({data['kind']})"


def warnings(report: dict[str, Any], subjects: list[Subject]) -> list[str]:
    """What a reader must know before believing a number."""
    found = [str(one.contract.provenance["warning"]) for one in subjects if one.contract.provenance.get("warning")]
    usual = Recipe().steps
    for one in subjects:
        steps = one.contract.provenance.get("steps")
        if isinstance(steps, int) and steps < usual:
            found.append(
                f"{one.name} was trained for {steps} steps; the shipped recipes take {usual}. Its Dice says little."
            )
    if report["data"]["split"] == "train":
        found.append("Dice is of training cases: the models have seen them.")
    if len({one["grid"] for one in report["subjects"]}) > 1:
        found.append("The models run on grids of different size, so their latencies answer different questions.")
    if any(row["runtime"] == "coreml-program" and row["verdict"] != "rejected" for row in report["rows"]):
        found.append(
            "Core ML artefacts were evaluated operation by operation on Linux, not on Apple hardware: their Dice does "
            "not cover the Neural Engine, and they have no latency."
        )
    engines = any(one["milliseconds"] for one in report["engines"])
    where, but = ("a phone", ", but of the engines,") if engines else ("a phone or a Jetson", "")
    found.append(
        f"Not run on {where}: every latency{but} is of {report['machine']['processor']}. Ratios on a desktop "
        "or server processor, int8 ones above all, do not carry over to phones."
    )
    load, cores = report["machine"]["load_average"], report["machine"]["cores"]
    if load is not None and cores and load > BUSY * cores:
        found.append(
            f"The machine was busy (load {load:.1f} on {cores} cores): absolute times are inflated; ratios come from "
            "alternating runs and suffer less."
        )
    return list(dict.fromkeys(found))


def commands(subject: Subject) -> list[str]:
    """What trains this subject again from its own recipe.yaml, and converts it as it was converted."""
    where = shlex.quote(str(subject.where))
    if subject.run is None:
        return []
    lines = [f"python -m train --recipe {where}/recipe.yaml --out {where}"]
    drop = subject.bundle.report["gate"]["max_dice_drop"] if subject.bundle else 0.01
    fewer = f" --cases {len(subject.cases)}" if len(subject.cases) < len(subject.validation["cases"]) else ""
    for target in dict.fromkeys(entry["target"] for entry in subject.entries):
        own = [entry for entry in subject.entries if entry["target"] == target]
        precisions = ",".join(dict.fromkeys(entry["precision"] for entry in own))
        ios = list(dict.fromkeys(entry["io"] for entry in own))
        io = "both" if len(ios) > 1 else ios[0]
        lines.append(
            f"python -m convert {where} --target {target} --precision {precisions} --io {io} "
            f"--max-dice-drop {drop:g}{fewer}"
        )
    return lines
