"""What a report says in sentences: headlines, warnings, commands. All of it from the facts, none of it fixed praise."""

from __future__ import annotations

import shlex
from typing import Any

from benchmarks.subjects import Subject
from benchmarks.table import milliseconds, ratio_text
from train.recipe import Recipe

RUNTIME_NAMES = {
    "litert": "LiteRT",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "openvino-default": "OpenVINO left to itself",
    "torch": "PyTorch eager",
    "torch-compile": "torch.compile",
}
PREFERRED = ("litert", "onnxruntime", "torch")  # what phones run, what servers run, what trained it
BUSY = 0.05  # share of the machine's processor time taken by others above which absolute times are inflated


def headlines(report: dict[str, Any]) -> list[str]:
    """One sentence per student, and one on what the gate refused."""
    rows = report["rows"]
    students = [one["name"] for one in report["subjects"] if one["role"] == "student"]
    sentences = [sentence for name in students if (sentence := headline(name, report))]
    sentences += [sentence for name in students if (sentence := whole_headline(name, rows))]
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


def whole_headline(student: str, rows: list[dict[str, Any]]) -> str:
    """Its best ratio end to end against the baseline's fp32 in one runtime; empty if nothing was timed."""
    own = [row for row in rows if row["model"] == student and row["end_to_end"] and row["runtime"] in PREFERRED]
    found = [(row["end_to_end"]["speedup"]["fp32"], row) for row in own if row["end_to_end"]["speedup"]["fp32"]]
    for runtime in PREFERRED:
        ratios = [(ratio["ratio"], ratio, row) for ratio, row in found if row["runtime"] == runtime]
        if ratios:
            _, ratio, row = max(ratios, key=lambda one: one[0])
            return (
                f"From raw pixels to mask {student} is {ratio_text(ratio['ratio'])} x as fast in "
                f"{RUNTIME_NAMES[runtime]} {row['precision']} as {ratio['against']} ({ms(row)} per image)."
            )
    return ""


def ms(row: dict[str, Any]) -> str:
    """A row's whole way in words."""
    return f"{milliseconds(row['end_to_end']['median_ms'])} ms"


def speed_sentence(row: dict[str, Any], other: dict[str, Any], threads: int) -> str:
    """Faster, slower, or no difference that the measurement can show."""
    found = row["speedup"]["same_precision"]
    ratio, (low, high) = found["ratio"], found["ci95"] or (found["ratio"], found["ratio"])
    place = f"{RUNTIME_NAMES.get(row['runtime'], row['runtime'])} {row['precision']}"
    rounds = row["latency"].get("rounds", row["latency"]["n"])
    how = f"mean of {rounds} paired rounds, {threads} thread{'s' if threads > 1 else ''}"
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


def unequal(subjects: list[dict[str, Any]]) -> list[str]:
    """Students that were trained for more or fewer steps than the baseline."""
    baseline = subjects[-1]
    return [
        f"{one['name']} was trained for {one['steps']} steps, {baseline['name']} for {baseline['steps']}: their Dice "
        "compare schedules as well as networks."
        for one in subjects[:-1]
        if one["steps"] and baseline["steps"] and one["steps"] != baseline["steps"]
    ]


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
    found += unequal(report["subjects"])
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
    found += measurement_warnings(report)
    return list(dict.fromkeys(found))


def measurement_warnings(report: dict[str, Any]) -> list[str]:
    """What was not as quiet, as steady or as complete as it should have been."""
    found, rows, meanwhile = [], report["rows"], report["conditions"]
    others = (meanwhile["others"] or 0) + (meanwhile["stolen"] or 0)
    if others > BUSY:
        found.append(
            f"The machine was busy: other processes or its hypervisor took {100 * others:.0f} % of its processor time. "
            "Absolute times are inflated; ratios come from alternating runs and suffer less."
        )
    wide = [row for row in rows if row["latency"] and row["latency"]["stopped"] != "precise"]
    if wide:
        widest = max(row["latency"]["spread"] or 0 for row in wide)
        found.append(
            f"The medians of {len(wide)} of {len([r for r in rows if r['latency']])} timed rows are less precise than "
            f"asked for ({100 * report['settings']['precision']:g} %): the widest interval is {100 * widest:.1f} % of "
            "its median."
        )
    for one in report["subjects"]:
        counts = one["macs_by"]
        if None not in counts.values() and counts["flop_counter"] != counts["onnx_graph"]:
            found.append(
                f"MACs of {one['name']} disagree: {counts['flop_counter']} by torch.utils.flop_counter, "
                f"{counts['onnx_graph']} in its exported graph."
            )
    changed = [row for row in rows if row["runtime"] == "openvino-default" and row["computes_in"] not in (None, "f32")]
    if changed:
        found.append(
            f"OpenVINO left to itself computed float32 networks in {changed[0]['computes_in']}; the rows `openvino` "
            "force float32."
        )
    silent = [
        row["id"] for row in rows if not row["dice"] and row["device"] == "local" and row["verdict"] != "rejected"
    ]
    if silent:
        found.append(f"{len(silent)} row(s) have no Dice, for their data is not at hand or they failed.")
    return found


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
