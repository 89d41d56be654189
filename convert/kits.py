"""Build kits: what a device needs to build, verify and time an engine itself, and what this machine can say of it.

A kit is a folder and a .tar.gz beside it in RUN/<target>/: the graph, the contract, golden vectors, the gate's cases,
and the scripts of convert/kit/ with acwskd_edge/runtimes/trt_common.py, which need only Python, numpy and TensorRT.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from acwskd_edge.bundle import Artefact, Golden
from acwskd_edge.contract import Contract
from acwskd_edge.files import new_folder, sha256, write_atomic, write_json
from acwskd_edge.preprocess import to_image
from acwskd_edge.verify import AGREEMENT_SLACK, FP32_LOGIT_ERROR
from convert.gate import Reference
from convert.graphlint import off_dla

SCRIPTS = Path(__file__).parent / "kit"
COMMON = Path(__file__).parents[1] / "acwskd_edge/runtimes/trt_common.py"
STAGES = ("preflight", "build", "run", "time_engine")
ARCHITECTURES = ("SM86", "SM89")  # Ampere's and Ada's desktop GPUs; TensorRT-RTX knows no Jetson's SM87
ABSENT = 4  # exit code of a script that finds no TensorRT or CUDA
TRT = "trt"  # an engine's target in the manifest


@dataclass(frozen=True)
class Flags:
    """What a build is told besides the graph."""

    workspace_mb: int = 1024  # the most memory that TensorRT may take for trying kernels
    dla: int | None = None  # number of the deep learning accelerator, None: the GPU


@dataclass(frozen=True)
class Kit:
    """A kit that was written."""

    folder: Path
    facts: dict[str, Any]  # kit.json

    @property
    def archive(self) -> Path:
        """The same as one file."""
        return self.folder.with_name(self.folder.name + ".tar.gz")

    @property
    def label(self) -> str:
        """For instance `int8-raw`."""
        return self.folder.name

    @property
    def command(self) -> str:
        """What to run on the device, where the archive was copied to."""
        stages = " && ".join(f"python3 {stage}.py" for stage in STAGES)
        return f"tar xzf {self.archive.name} && cd {self.label} && {stages}"

    @property
    def results(self) -> Path:
        """Where the engine and its measurements go on this machine."""
        return self.folder.with_name(self.folder.name + ".engine")


def write(
    folder: Path,
    graph: Path,
    entry: dict[str, Any],
    contract: Contract,
    reference: Reference,
    golden: Sequence[Golden],
    max_drop: float,
    flags: Flags,
    rtx: Sequence[str] = (),
) -> Kit:
    """Write a kit into `folder`, and beside it `<folder>.tar.gz`.

    Args:
        graph: the ONNX file that passed the gate.
        entry: of it in report.json.
        reference: the checkpoint on the gate's cases.
        rtx: architectures for which TensorRT-RTX may build without a GPU; empty: only TensorRT itself may build.
    """
    with new_folder(folder) as work:
        shutil.copy2(graph, work / "model.onnx")
        write_atomic(work / "contract.json", contract.to_json())
        for source in (COMMON, *sorted(SCRIPTS.glob("*.py")), SCRIPTS / "README.txt"):
            shutil.copyfile(source, work / source.name)
        for one in golden:
            one.save(work / "golden")
        cases = [write_case(work, index, reference, contract) for index in range(len(reference.cases))]
        facts = describe(work, entry, contract, golden, cases, max_drop, flags, rtx)
        write_json(work / "kit.json", facts)
    kit = Kit(folder, facts)
    pack(kit)
    return kit


def read(folder: Path) -> Kit | None:
    """A kit that was written, None if there is none."""
    path = folder / "kit.json"
    return Kit(folder, json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def remove(folder: Path) -> None:
    """Delete a kit, its archive and what was built from it."""
    kit = Kit(folder, {})
    for one in (kit.folder, kit.results):
        shutil.rmtree(one, ignore_errors=True)
    kit.archive.unlink(missing_ok=True)


def is_current(kit: Kit, graph: Path, max_drop: float, cases: Sequence[str], flags: Flags, rtx: Sequence[str]) -> bool:
    """Whether `write` would write the same again."""
    facts, files = kit.facts, kit.facts["files"]
    scripts = {one.name: one for one in (COMMON, *SCRIPTS.glob("*.py"))}
    return (
        kit.archive.is_file()
        and facts["onnx"]["sha256"] == sha256(graph)
        and (facts["flags"], facts["rtx"]) == (asdict(flags), list(rtx))
        and facts["gate"]["max_dice_drop"] == max_drop
        and [one["id"] for one in facts["gate"]["cases"]] == list(cases)
        and all(files.get(name) == sha256(path) for name, path in scripts.items())
    )


def write_case(work: Path, index: int, reference: Reference, contract: Contract) -> dict[str, Any]:
    """One validation case: pixels, labels, where its own grid reads the network's, and the checkpoint's Dice."""
    prepared = reference.cases[index]
    case = prepared.case
    assert case.label is not None
    folder = work / "cases" / f"{index:03d}"
    folder.mkdir(parents=True)
    height, width = case.label.shape[1:]
    grid: Any = np.indices((contract.height, contract.width))
    rows, columns = (to_image(axis, contract, height, width) for axis in grid)
    arrays = {
        "pixels": prepared.pixels,
        "label": case.label.astype(np.uint8),
        "rows": rows[:, 0],
        "columns": columns[0],
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)
    scores = reference.scores
    dice = {
        name: None if np.isnan(value) else round(float(value), 6)
        for name, value in zip(scores.classes, scores.dice[index], strict=True)
    }
    return {"folder": f"cases/{index:03d}", "id": case.id, "patient": case.patient, "dice": dice}


def describe(
    work: Path,
    entry: dict[str, Any],
    contract: Contract,
    golden: Sequence[Golden],
    cases: list[dict[str, Any]],
    max_drop: float,
    flags: Flags,
    rtx: Sequence[str],
) -> dict[str, Any]:
    """kit.json."""
    files = {str(path.relative_to(work)): sha256(path) for path in sorted(work.rglob("*")) if path.is_file()}
    size = (work / "model.onnx").stat().st_size
    build = {
        "onnx_sha256": files["model.onnx"],
        "precision": entry["precision"],
        "io": entry["io"],
        "flags": asdict(flags),
        "rtx": list(rtx),
        "scripts": [files[name] for name in ("trt_common.py", "preflight.py", "build.py")],
    }
    gate = {"max_dice_drop": max_drop, "classes": [label.name for label in contract.labels[1:]], "cases": cases}
    expected = {
        "argmax_agreement": round(max(0.0, entry["golden"]["argmax_agreement"] - AGREEMENT_SLACK), 6),
        "max_logit_error": FP32_LOGIT_ERROR if entry["precision"] == "fp32" and entry["io"] == "tensor" else None,
    }
    judged = {"gate": gate, "expected": expected, "golden": [one.name for one in golden]}
    return {
        "schema": 1,
        "name": contract.name,
        "target": entry["target"],
        "key": digest(build),
        "gate_key": digest({**judged, "files": files}),
        **{name: build[name] for name in ("precision", "io", "flags", "rtx")},
        "keep": entry["keep"],
        "off_dla": [] if flags.dla is None else off_dla(onnx.load(work / "model.onnx")),
        "onnx": {"file": "model.onnx", "sha256": files["model.onnx"]},
        "needs": {"disk": 4 * size + (64 << 20), "memory": 8 * size + (256 << 20)},
        **judged,
        "files": files,
    }


def digest(facts: dict[str, Any]) -> str:
    """Hash of facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def pack(kit: Kit) -> None:
    """The kit as one .tar.gz; equal kits give equal bytes."""
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in sorted(kit.folder.rglob("*")):
            if path.is_file():
                info = tarfile.TarInfo(str(Path(kit.folder.name) / path.relative_to(kit.folder)))
                info.size, info.mode = path.stat().st_size, 0o644
                with path.open("rb") as stream:
                    archive.addfile(info, stream)
    write_atomic(kit.archive, gzip.compress(content.getvalue(), mtime=0))


@dataclass(frozen=True)
class Stop:
    """Why a kit's scripts went no further on a machine."""

    stage: str
    code: int  # the script's exit code
    why: str


def build_here(
    kit: Kit, stages: Sequence[str] = STAGES, show: Callable[[str], None] | None = None, gpu: bool = True
) -> Stop | None:
    """Run the kit's own scripts on this machine, results into `kit.results`; None if all ended well.

    Args:
        show: is told each line that they print, while they run.
        gpu: whether they may see one.
    """
    environment = os.environ if gpu else {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    for stage in stages:
        command = [sys.executable, "-u", str(kit.folder / f"{stage}.py"), "--out", str(kit.results)]
        with tempfile.TemporaryFile("w+") as errors:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as script:
                assert script.stdout
                for line in script.stdout:
                    if show:
                        show(line.rstrip())
            errors.seek(0)
            said = errors.read().splitlines()
        if script.returncode:
            lines = [line for line in said if line.startswith("error: ")]
            why = lines[-1].removeprefix("error: ") if lines else f"{stage}.py ended with exit code {script.returncode}"
            return Stop(stage, script.returncode, why)
    return None


def result(kit: Kit, stage: str) -> dict[str, Any]:
    """What a stage wrote in `kit.results`; empty where it did not run, or for another kit or gate."""
    path = kit.results / f"{stage}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    keys = ("key", "gate_key") if stage == "run" else ("key",)
    return found if all(found.get(key) == kit.facts[key] for key in keys) else {}


def state_of(kit: Kit) -> str:
    """`not built`, `built, not run`, or the verdict of the gate on the device."""
    if run := result(kit, "run"):
        return str(run["verdict"])
    return "built, not run" if result(kit, "build") else "not built"


def parsed_by_rtx(kit: Kit) -> dict[str, Any]:
    """What NVIDIA's own parser and builder say of the kit's graph: TensorRT-RTX runs both without a GPU.

    The kit's build.py builds an engine for each of ARCHITECTURES, which are thrown away. TensorRT-RTX has no DLA, so
    that the kit of one is built for the GPU.

    Returns:
        For report.json: `evidence_of` its build.json, or why there is none.
    """
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        return {"skipped": "TensorRT-RTX is not installed here; docs/targets/jetson.md has the command"}
    with tempfile.TemporaryDirectory() as name:
        on_gpu = {**kit.facts, "rtx": list(ARCHITECTURES), "flags": {**kit.facts["flags"], "dla": None}}
        trial = Kit(Path(shutil.copytree(kit.folder, Path(name) / kit.label)), on_gpu)
        write_json(trial.folder / "kit.json", trial.facts)
        stop = build_here(trial, ("build",), gpu=False)
        return {"refused": stop.why} if stop else evidence_of(result(trial, "build"))


def evidence_of(built: dict[str, Any]) -> dict[str, Any]:
    """build.json, as far as it speaks of the graph."""
    return {
        "tensorrt": built["fingerprint"]["tensorrt"],
        "parse_errors": 0,
        "strongly_typed": built["strongly_typed"],
        "network": built["network"],
        "engines": [
            {
                "architecture": one["fingerprint"]["architecture"],
                "bytes": one["bytes"],
                "seconds": one["seconds"],
                "layers": one["engine_layers"],
            }
            for one in built["engines"]
        ],
    }


def report_of(kit: Kit, run: Path, stop: Stop | None, evidence: dict[str, Any]) -> dict[str, Any]:
    """A kit in report.json."""
    return {
        "id": f"{kit.facts['target']}-{kit.label}",
        "kit": str(kit.archive.relative_to(run)),
        "bytes": kit.archive.stat().st_size,
        "key": kit.facts["key"],
        "gate_key": kit.facts["gate_key"],
        "state": state_of(kit),
        "why": stop.why if stop else None,
        "command": kit.command,
        "off_dla": kit.facts["off_dla"],
        "tensorrt_rtx": evidence,
        "device": {stage: found for stage in STAGES if (found := result(kit, stage))},
    }


def fault(facts: dict[str, Any], stop: Stop | None) -> str | None:
    """Why a kit counts as refused; that this machine has no TensorRT or GPU is no fault."""
    if facts["state"] == "rejected":
        return "; ".join(facts["device"]["run"]["reasons"])
    if stop and stop.code != ABSENT:
        return f"{stop.stage}.py: {stop.why}"
    refused: str | None = facts["tensorrt_rtx"].get("refused")
    return refused


def lines_of(facts: dict[str, Any]) -> str:
    """A kit on the screen: what became of it, what NVIDIA's builder said, what to do next."""
    lines = [f"{facts['kit']}, {facts['bytes'] / 1e6:.2f} MB: {facts['state'].upper()}"]
    if facts["state"] in ("not built", "built, not run"):
        lines.append(f"no engine {'was built' if facts['state'] == 'not built' else 'ran'} here: {facts['why']}")
    elif facts["why"] and facts["state"] == "passed":
        lines.append(f"the engine is an earlier one; this time: {facts['why']}")
    seen = facts["tensorrt_rtx"]
    if "engines" in seen:
        network = seen["network"]
        engines = [(one["architecture"] or "for this GPU", one) for one in seen["engines"]]
        built = ", ".join(f"{what} {one['bytes'] / 1e6:.2f} MB in {one['seconds']} s" for what, one in engines)
        place = " on the CPU" if all(one["architecture"] for one in seen["engines"]) else ""
        lines.append(
            f"{seen['tensorrt']}{place}: {seen['parse_errors']} parse errors, {network['int8_convolutions']} of "
            f"{network['convolutions']} convolutions int8; builds {built}"
        )
    else:
        lines += [f"TensorRT-RTX: {why}" for why in seen.values()]
    if facts["off_dla"]:
        lines.append(f"left to the GPU by the DLA: {', '.join(facts['off_dla'])}")
    if facts["state"] == "not built":
        lines.append(f"on the device: {facts['command']}")
    return "\n".join(lines)


def engine_entry(kit: Kit, entry: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """Copy a verified engine into a bundle's folder and describe it; None where there is none.

    Args:
        entry: of its graph in report.json.
    """
    built, run = result(kit, "build"), result(kit, "run")
    if (
        not run
        or run["verdict"] != "passed"
        or sha256(kit.results / built["engine"]) != built["fingerprint"]["engine_sha256"]
    ):
        return None
    path = folder / TRT / Path(entry["path"]).with_suffix(".engine").name
    path.parent.mkdir(exist_ok=True)
    shutil.copyfile(kit.results / built["engine"], path)
    write_json(path.with_name(f"{path.name}.json"), built["fingerprint"])
    return {
        "id": Artefact(TRT, entry["precision"], entry["io"], "tensorrt", "").id,
        "target": TRT,
        "precision": entry["precision"],
        "io": entry["io"],
        "runtime": "tensorrt",
        "path": str(path.relative_to(folder)),
        "bytes": built["bytes"],
        "keep": entry["keep"],
        "seconds": built["seconds"],
        **{key: run[key] for key in ("dice", "checkpoint_dice", "dice_change", "golden", "verdict", "reasons")},
        "milliseconds": result(kit, "time_engine").get("milliseconds"),
    }
