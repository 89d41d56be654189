"""`--benchmark-model FILE`: LiteRT's own tool on a phone, which people know; it feeds noise and checks no answer.

Passes go over all artefacts forwards, then backwards, so that a phone that warms up slows all alike; every finished
pass is kept. Options and output: LiteRT's `tools/benchmark`. **Not run on a phone.**
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from statistics import fmean
from typing import Any

from acwskd_edge.bench.document import MODEL, Document, new
from acwskd_edge.bench.latency import Timings, WarmUp, speedup
from acwskd_edge.bench.measure import Settings, timings
from acwskd_edge.bundle import Bundle
from acwskd_edge.errors import AcwskdError, RefusedError, UsageError
from acwskd_edge.files import sha256
from benchmarks.device.adb import PLACE, Adb, last_line
from benchmarks.device.over_ssh import Take
from convert.ssh import printable

TOOL = "benchmark_model"
PASSES = 6  # the fewest whose median has a 95 % interval
WARM_UP = 10  # runs of every pass
FEWEST = 10  # timed runs of a pass
UNCHECKED = "benchmark_model feeds noise: its answers are not checked; --runtime checks them"
FLAG = re.compile(r"--[a-z_0-9]+=[\w.,:-]*", re.ASCII)
MACHINES = {3: "x86", 40: "arm", 62: "x86-64", 183: "aarch64"}  # e_machine of an ELF file
RUNS_ON = {"aarch64": (183, 40), "armv8l": (40,), "armv7l": (40,), "x86_64": (62, 3), "i686": (3,)}
NUMBER = r"([-+.\deE]+)"
SUMMARY = re.compile(
    rf"Inference timings in us: Init: {NUMBER}, First inference: {NUMBER}, "
    rf"Warmup \(avg\): {NUMBER}, Inference \(avg\): {NUMBER}"
)
COUNT = re.compile(r"count=(\d+)\b(.*)")
MEMORY = re.compile(rf"(?:Memory footprint delta|[Pp]eak memory footprint).*?overall={NUMBER}")


def measure_with_tool(
    phone: Adb, tool: Path, flags: list[str], bundle: Bundle, settings: Settings, take: Take, found: Document | None
) -> None:
    """Time every TFLite artefact with the user's benchmark_model.

    Raises:
        UsageError: the tool is missing, for another processor, or the bundle has no TFLite file.
        RefusedError: the phone is an emulator.
        Dropped: it is gone; the passes that ended are kept.
    """
    for one in flags:
        if not FLAG.fullmatch(one):
            raise UsageError(f"--benchmark-flag {one}", allowed="--name=value, for instance --use_gpu=true")
    device = {"kind": "adb", **phone.facts()}
    check_tool(tool, device["architecture"])
    if device["emulated"]:
        raise RefusedError(
            f"{phone.serial} is an emulator: its times are not a phone's", hint="--runtime proves answers"
        )
    chosen = [bundle.find(one) for one in settings.artefacts] or list(bundle.artefacts)
    asked = {"runs": settings.runs, "threads": settings.threads, "flags": flags}
    document = new(bundle, chosen, asked, device, {"benchmark_model_sha256": sha256(tool)})
    if found is not None and found.get("key") == document["key"]:
        document = found
    files = {f"model{i}.tflite": bundle.path(one) for i, one in enumerate(chosen) if one.target == "tflite"}
    if not files:
        raise UsageError(f"{bundle.root} has no TFLite file", hint="python -m convert RUN --target tflite")
    folder = f"{PLACE}/{document['key'][:32]}"
    if not document["complete"]:
        phone.push({TOOL: tool, **files}, folder)
        phone.shell(f"chmod 755 {folder}/{TOOL}")
    passes(phone, folder, flags, document, take)
    document["complete"] = True
    take(document)


def passes(phone: Adb, folder: str, flags: list[str], document: Document, take: Take) -> None:
    """All passes that are missing."""
    rows = list(enumerate(document["rows"]))
    settings = document["settings"]
    words = [f"--num_threads={settings['threads']}", f"--num_runs={max(FEWEST, -(-settings['runs'] // PASSES))}"]
    words += [f"--warmup_runs={WARM_UP}", "--min_secs=0", *flags]
    for number in range(PASSES):
        due = [(i, row) for i, row in rows if row["target"] == "tflite" and len(row[MODEL]["samples_ms"]) <= number]
        due = [(i, row) for i, row in due if row["state"] is None]
        if due:
            document["conditions"].append({"pass": number, **phone.conditions()})
        for i, row in due if number % 2 == 0 else reversed(due):
            code, output = phone.shell(f"cd {folder} && ./{TOOL} --graph=model{i}.tflite {' '.join(words)}")
            record(row, code, output)
            print(f"pass {number + 1} of {PASSES}, {row['id']}: {shown(row)}", flush=True)
            take(document)
    timed = [row for _, row in rows if row[MODEL]["samples_ms"]]
    for row in document["rows"]:
        if row["target"] != "tflite":
            row["state"], row["detail"], row["not_timed"] = "skipped", "benchmark_model runs TFLite files", "not TFLite"
        elif row["state"] is None:
            row["detail"] = UNCHECKED
            others = [one for one in timed if (one["io"], one["precision"]) == (row["io"], "fp32") and one is not row]
            row["times_fp32"] = speedup(timings(row), timings(others[0])) if others else None


def record(row: dict[str, Any], code: int, output: str) -> None:
    """One pass into its row."""
    try:
        said = parse(output)
    except AcwskdError as error:
        row["state"], row["not_timed"] = "FAILED", "failed"
        row["detail"] = f"benchmark_model ended with exit code {code} ({error})"
        return
    samples = [*row[MODEL]["samples_ms"], said["mean_ms"]]
    before = row[MODEL]["latency"] or {"n": 0, "min_ms": None}
    least = [one for one in (before["min_ms"], said["min_ms"]) if one is not None]
    row[MODEL] = {
        "latency": {
            **Timings.of(samples, WarmUp(WARM_UP, True)).to_dict(),
            "n": before["n"] + said["n"],
            "p90_ms": None,
            "p99_ms": None,
            "min_ms": min(least) if least else None,
            "mean_ms": round(fmean(samples), 4),
            "of": f"means of {len(samples)} passes",  # what median, interval and spread are of
        },
        "samples_ms": samples,
    }
    if row["fresh"] is None:
        row["fresh"] = {
            "load_ms": said["init_ms"],
            "first_ms": said["first_ms"],
            "cold_start_ms": round(said["init_ms"] + said["first_ms"], 3),
            "peak_mb": None,
            "model_mb": said["model_mb"],
            "runs": 1,
        }


def parse(output: str) -> dict[str, Any]:
    """What benchmark_model printed, in milliseconds and MB.

    Raises:
        AcwskdError: no summary in it; says its last line.
    """
    summary = SUMMARY.search(output)
    if not summary:
        raise AcwskdError(printable(last_line(output)) or "it printed nothing")
    try:
        init, first, _, mean = (float(one) / 1000 for one in summary.groups())
    except ValueError as error:
        raise AcwskdError(f"its summary cannot be read: {summary[0]}") from error
    counts = COUNT.findall(output)  # of the warm-up, then of the timed runs
    fields = dict(re.findall(rf"(\w+)={NUMBER}", counts[-1][1])) if counts else {}
    memory = MEMORY.findall(output)
    return {
        "init_ms": round(init, 3),
        "first_ms": round(first, 3),
        "mean_ms": round(mean, 5),
        "min_ms": round(float(fields["min"]) / 1000, 5) if "min" in fields else None,
        "n": int(counts[-1][0]) if counts else 0,
        "model_mb": float(memory[-1]) if memory else None,
    }


def check_tool(tool: Path, architecture: str) -> None:
    """Refuse a file that the phone cannot execute.

    Raises:
        UsageError: says for which processor it is.
    """
    head = tool.read_bytes()[:20] if tool.is_file() else b""
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise UsageError(
            f"--benchmark-model {tool} is {'no program for Android' if head else 'not there'}",
            allowed="LiteRT's benchmark_model for the phone's processor",
            hint="docs/devices.md says where it comes from",
        )
    (machine,) = struct.unpack_from("<H", head, 18)
    if machine not in RUNS_ON.get(architecture, (machine,)):
        raise UsageError(f"{tool} is for {MACHINES.get(machine, machine)}, the phone is {architecture}")


def shown(row: dict[str, Any]) -> str:
    """A row's latest pass on the screen."""
    return row["detail"] if row["state"] == "FAILED" else f"{row[MODEL]['samples_ms'][-1]:.3f} ms"
