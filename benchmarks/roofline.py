"""`python -m benchmarks.roofline RUN`: how far each artefact stays behind what this machine can do.

One thread. The roofs are measured, not looked up: the best rate of each runtime's own convolution and matrix kernels at
a precision, and the bandwidth of a copy at the size that moves. An operation cannot be faster than its MACs at the peak
nor than its bytes at the bandwidth; the sum over the exported graph's operations is an artefact's attainable time.
"""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import RefusedError, UsageError, exit_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.traffic import Operation

EXAMPLES = """
python -m benchmarks.roofline runs/student runs/unet -o benchmarks/results/roofline-xeon-1thread.json
python -m benchmarks.roofline --models s2d16,unet64 --size 224 -o roofline.json    # random weights
python -m benchmarks.roofline runs/student --layers -o roofline.json               # and where ONNX Runtime's time goes
"""
KINDS = "onnxruntime:fp32,onnxruntime:int8,litert:fp32,litert:int8"
COMPUTE_PRECISION = {"fp32": "fp32", "fp16": "fp32", "int8": "int8", "mixed": "int8"}
"""Precision of an artefact -> of the kernels that execute it here: float16 weights are unpacked to float32."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """One artefact to place under the roofs."""

    name: str
    grid: str
    runtime: str
    precision: str
    path: Path
    call: Callable[[], object]  # one forward pass

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name} {self.grid} {self.runtime} {self.precision}"


def from_bundle(where: Path) -> list[Subject]:
    """The tensor artefacts of a run's bundle that ONNX Runtime and LiteRT execute here.

    Raises:
        UsageError: neither run nor bundle, or a run that was not converted.
    """
    from acwskd_edge import runtimes
    from benchmarks.emitted import EMITTERS
    from benchmarks.rows import grid_of, rows_of
    from benchmarks.subjects import open_subject
    from benchmarks.timing import network_input, raw_image

    opened = open_subject(where, "student")
    image = raw_image([opened])
    found = []
    for row in rows_of(opened):
        if row.runtime in EMITTERS and row.io == "tensor" and row.path is not None:
            runtime, batch = runtimes.load(row.runtime, row.path, threads=1), network_input(row, image)
            found.append(
                Subject(
                    opened.name,
                    grid_of(opened.contract),
                    row.runtime,
                    row.precision,
                    row.path,
                    lambda runtime=runtime, batch=batch: runtime(batch),  # type: ignore[misc]
                )
            )
    if not found:
        raise UsageError(
            f"{where} has no ONNX or TFLite artefact", hint=f"python -m convert {where} --target onnx,tflite"
        )
    return found


def from_registry(model: str, size: int, work: Path) -> list[Subject]:
    """A model with random weights, emitted here."""
    from benchmarks.emitted import blank_contract, emit, forward, kinds_of

    contract = blank_contract(1, 4, size)
    _, artefacts = emit(model, contract, kinds_of(KINDS), work / f"{model.replace(':', '.')}-1x{size}-4")
    return [
        Subject(model, f"1x{size}x{size}", *kind, found, forward(found, kind, contract))
        for kind, found in artefacts.items()
        if isinstance(found, Path)
    ]


def bandwidth_at(moved: int, copies: list[dict[str, float]]) -> float:
    """Bytes a second of the copy whose traffic is nearest on a log scale."""
    return min(copies, key=lambda one: max(one["bytes"], moved) / max(1, min(one["bytes"], moved)))["gb_per_s"] * 1e9


def attainable(work: list[Operation], peak: float, copies: list[dict[str, float]]) -> dict[str, float]:
    """Milliseconds under the roofs.

    Args:
        peak: MACs a second.
    Returns:
        compute_ms, memory_ms: all MACs at the peak, all bytes at their bandwidth; roof_ms: the slower of the two for
        each operation, summed; memory_bound: share of roof_ms in operations that the bandwidth limits.
    """
    compute = [one.macs / peak for one in work]
    memory = [one.bytes / bandwidth_at(one.bytes, copies) for one in work]
    roof = [max(pair) for pair in zip(compute, memory, strict=True)]
    bound = sum(slow for fast, slow in zip(compute, memory, strict=True) if slow > fast)
    return {
        "compute_ms": round(sum(compute) * 1e3, 4),
        "memory_ms": round(sum(memory) * 1e3, 4),
        "roof_ms": round(sum(roof) * 1e3, 4),
        "memory_bound": round(bound / sum(roof), 3),
    }


def rows_of(subjects: list[Subject], peaks: dict[str, Any], copies: list[dict[str, float]], runs: int) -> list[Row]:
    """Each artefact's work, roof, time and share of the roof."""
    from acwskd_edge.bench.latency import interleave
    from benchmarks.traffic import operations

    keys = [f"{one.name} {one.grid} {one.runtime} {one.precision}" for one in subjects]
    timings = interleave({key: one.call for key, one in zip(keys, subjects, strict=True)}, runs)
    rows = []
    for key, one in zip(keys, subjects, strict=True):
        work = operations(one.path)
        kind = f"{one.runtime}:{COMPUTE_PRECISION[one.precision]}"
        peak = peaks[kind]["peak_gmacs"] * 1e9
        count, moved = sum(op.macs for op in work), sum(op.bytes for op in work)
        latency = timings[key].to_dict()
        roof = attainable(work, peak, copies)
        rows.append(
            {
                "model": one.name,
                "grid": one.grid,
                "runtime": one.runtime,
                "precision": one.precision,
                "macs": count,
                "bytes": moved,
                "macs_per_byte": round(count / moved, 3),
                "peak_gmacs": peaks[kind]["peak_gmacs"],
                **roof,
                "latency": latency,
                "gmacs": round(count / latency["median_ms"] / 1e6, 3),
                "of_peak": round(count / latency["median_ms"] * 1e3 / peak, 4),
                "of_roof": round(roof["roof_ms"] / latency["median_ms"], 4),
            }
        )
    return rows


def line_of(row: Row) -> str:
    """A row on the screen."""
    return (
        f"{row['model']:<16}{row['grid']:<12}{row['runtime']:<12}{row['precision']:<6}{row['macs'] / 1e6:9.1f}"
        f"{row['bytes'] / 1e6:9.2f}{row['macs_per_byte']:8.1f}{row['gmacs']:8.1f}{row['peak_gmacs']:8.1f}"
        f"{row['roof_ms']:10.3f}{row['latency']['median_ms']:10.3f}{row['of_peak']:8.0%}{row['of_roof']:8.0%}"
    )


HEADER = (
    f"{'model':<16}{'grid':<12}{'runtime':<12}{'prec':<6}{'MMACs':>9}{'MB moved':>9}{'MAC/B':>8}"
    f"{'GMAC/s':>8}{'peak':>8}{'roof ms':>10}{'median ms':>10}{'of peak':>8}{'of roof':>8}"
)


def sentences(rows: list[Row]) -> list[str]:
    """What stands between: for every runtime and precision, the smallest network against the largest."""
    found = []
    for kind in dict.fromkeys((row["runtime"], row["precision"], row["grid"]) for row in rows):
        those = sorted(
            (row for row in rows if (row["runtime"], row["precision"], row["grid"]) == kind),
            key=lambda one: one["macs"],
        )
        if len(those) < 2:
            continue
        small, large = those[0], those[-1]
        fewer = large["macs"] / small["macs"]
        faster = large["latency"]["median_ms"] / small["latency"]["median_ms"]
        limit = large["latency"]["median_ms"] / small["roof_ms"]
        found.append(
            f"{small['model']} against {large['model']}, {kind[0]} {kind[1]}, {kind[2]}: {fewer:.1f} x fewer MACs, "
            f"{faster:.1f} x faster, {limit:.0f} x if {small['model']} reached its roof. It runs at "
            f"{small['of_peak']:.0%} of the peak, {large['model']} at {large['of_peak']:.0%}; bandwidth limits "
            f"{small['memory_bound']:.0%} of {small['model']}'s attainable time, and {1 - small['of_roof']:.0%} of its "
            "measured time is under no roof: kernels below their peak at few channels, layout changes, and the time "
            "between kernels."
        )
    return found


def as_csv(rows: list[Row]) -> str:
    """The rows flat."""
    stream = io.StringIO()
    flat = [{**{k: v for k, v in row.items() if k != "latency"}, **timed(row["latency"])} for row in rows]
    writer = csv.DictWriter(stream, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return stream.getvalue()


def timed(latency: dict[str, Any]) -> dict[str, Any]:
    """The part of a latency that a table needs."""
    low, high = latency["median_ci95_ms"] or ("", "")
    return {"n": latency["n"], "median_ms": latency["median_ms"], "median_low_ms": low, "median_high_ms": high}


def main() -> int:
    """Parse, measure, print, write and draw."""
    parser = Parser("python -m benchmarks.roofline", __doc__ or "", EXAMPLES)
    parser.add_argument("subject", type=Path, nargs="*", metavar="RUN_OR_BUNDLE", help="whose artefacts are placed")
    parser.add_argument("--models", default="", help="registry names or package.module:factory, with random weights")
    parser.add_argument("--size", type=int, default=128, help="side of the input of --models, pixels (128)")
    parser.add_argument("--runs", type=int, default=50, help="timed runs of every artefact and probe (50)")
    parser.add_argument("--layers", action="store_true", help="profile ONNX Runtime's artefacts kernel by kernel")
    parser.add_argument("--work", type=Path, default=Path("runs/roofline"), help="probes stay here (runs/roofline)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file; CSV and SVG lie beside it")
    args = parser.parse_args()
    models = [word for word in args.models.split(",") if word]
    if not args.subject and not models:
        raise UsageError("nothing to place under the roofs", allowed="RUN_OR_BUNDLE ..., or --models NAME,...")
    if args.runs < 10 or args.size < 32 or args.size % 32:
        raise UsageError(f"--runs {args.runs} --size {args.size}", allowed="10 or more; a multiple of 32")

    import torch

    from acwskd_edge.files import only_writer, write_atomic, write_json
    from acwskd_edge.machine import machine, versions
    from benchmarks.emitted import kinds_of
    from benchmarks.layers import profile
    from benchmarks.peaks import copy_bandwidth, measure_peaks
    from benchmarks.roofline_picture import draw
    from convert.targets import TARGETS

    torch.set_num_threads(1)
    with only_writer(args.work):
        subjects = [one for where in args.subject for one in from_bundle(where)]
        subjects += [one for model in models for one in from_registry(model, args.size, args.work)]
        if not subjects:
            raise RefusedError("no network was converted", hint="python -m convert.lint names the layers")
        print("measuring the peaks of kernels and memory", file=sys.stderr, flush=True)
        copies = copy_bandwidth()
        peaks = measure_peaks(kinds_of(KINDS), args.work, args.runs)
        print(f"timing {len(subjects)} artefacts, up to {args.runs} rounds", file=sys.stderr, flush=True)
        rows = rows_of(subjects, peaks, copies, args.runs)
    layers = [profile(one.title, one.path) for one in subjects if args.layers and one.runtime == "onnxruntime"]
    packages = (("torch", "torch"), *TARGETS["onnx"].packages, *TARGETS["tflite"].packages)
    words = sentences(rows)
    report = {
        "settings": {"threads": 1, "rounds": args.runs, "unit": "MAC; FLOPs are twice as many"},
        "machine": machine(),
        "versions": versions(packages),
        "peaks": peaks,
        "copy": copies,
        "rows": rows,
        "layers": layers,
        "words": words,
    }
    write_json(args.output, report)
    write_atomic(args.output.with_suffix(".csv"), as_csv(rows))
    write_atomic(args.output.with_suffix(".svg"), draw(rows, peaks, copies))
    for kind, entry in peaks.items():
        print(f"peak {kind:<18}{entry['peak_gmacs']:8.1f} GMAC/s  {entry['best_probe']}")
    print("copy " + ", ".join(f"{one['bytes'] / 1e6:.2g} MB: {one['gb_per_s']:.1f} GB/s" for one in copies))
    print("\n".join([HEADER, *map(line_of, rows), *words]))
    print("\n".join(line for one in layers for line in one["words"]))
    print(f"{args.output.with_suffix('.svg')}\n{args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
