"""`python -m benchmarks.peers`: our networks beside published ones: parameters, MACs and latency, all in one run.

Every network is emitted by our own converters with random weights, and all artefacts of a size are timed in
alternation on one thread, so that their ratios hold on a machine that is never quiet. A network that does not convert,
or whose package does not load here, says why in its row. Dice comes from `python -m benchmarks.sweep peers`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

if TYPE_CHECKING:
    from acwskd_edge.bench.latency import Timings
    from benchmarks.emitted import Kind

EXAMPLES = """
python -m benchmarks.peers -o benchmarks/results/peers-xeon-1thread.json
python -m benchmarks.peers --models unet64,s2d16,unext_s --sizes 224 --runtimes litert:int8 -o peers.json
PYTHONPATH=build/peers python -m benchmarks.peers -o peers.json    # with segmentation-models-pytorch, docs/peers.md
"""
BASELINE = "unet64"
OURS = "ours"
PAPER = "our implementation from the paper's description"


@dataclass(frozen=True)
class Peer:
    """One network of the table."""

    model: str  # a name of the registry, or package.module:factory, as `python -m train --model` takes it
    code: str  # where it comes from
    package: str = ""  # the distribution whose version is recorded
    published: tuple[float, float] | None = None  # M parameters and GMACs, 3x256x256, one class


PEERS: dict[str, Peer] = {
    **{name: Peer(name, OURS) for name in ("unet64", "unet16", "unet8", "s2d16", "s2d16-lite", "s2d24")},
    "unext_s": Peer("benchmarks.peer_models.unext:unext_s", PAPER, published=(0.254, 0.099)),
    "cmunext_s": Peer("benchmarks.peer_models.cmunext:cmunext_s", PAPER, published=(0.418, 1.01)),
    "ege_unet": Peer("benchmarks.peer_models.egeunet:ege_unet", PAPER, published=(0.053, 0.072)),
    "monai_basic_unet": Peer("benchmarks.peer_models.monai_unet:basic_unet", "MONAI, batch norm", "monai"),
    "smp_mobilenet_v3_small": Peer(
        "benchmarks.peer_models.smp:mobilenet_v3_small", "SMP Unet", "segmentation-models-pytorch"
    ),
    "smp_efficientnet_lite0": Peer(
        "benchmarks.peer_models.smp:efficientnet_lite0", "SMP Unet", "segmentation-models-pytorch"
    ),
}

Row = dict[str, Any]


def measure(size: int, names: list[str], kinds: list[Kind], args: Any) -> list[Row]:
    """One row per network, runtime and precision on a grid; the networks of the grid are timed together."""
    from tqdm import tqdm

    from acwskd_edge.bench.latency import TURN, interleave
    from acwskd_edge.errors import MissingDependency
    from benchmarks.emitted import blank_contract, emit, forward

    contract = blank_contract(args.channels, args.classes, size)
    rows: list[Row] = []
    calls, places = {}, {}
    for name in tqdm(names, f"converting {size}x{size}", disable=None):
        peer = PEERS[name]
        start = {"model": name, "size": size, "code": peer.code}
        try:
            facts, artefacts = emit(peer.model, contract, kinds, args.work / f"{name}-{grid_of(args, size)}")
        except MissingDependency as error:
            rows += [{**start, **row_of(kind), "missing": str(error)} for kind in kinds]
            continue
        for kind, found in artefacts.items():
            row = {**start, **facts, **row_of(kind)}
            rows.append(row)
            if isinstance(found, str):
                row["missing"] = f"not converted: {found}"
                continue
            row |= {"mb": round(found.stat().st_size / 1e6, 3), **coverage(kind, found)}
            key = f"{name} {' '.join(kind)}"
            calls[key], places[key] = forward(found, kind, contract), row
    print(f"timing {len(calls)} artefacts at {size}x{size}, up to {args.rounds} rounds", file=sys.stderr, flush=True)
    timings = interleave(calls, args.rounds, turn=TURN)
    for key, row in places.items():
        row |= {"latency": timings[key].to_dict(), "speedup": speedup_of(key, timings)}
    return rows


def row_of(kind: Kind) -> Row:
    """What a row says of its artefact before there is one."""
    return {"runtime": kind[0], "precision": kind[1]}


def coverage(kind: Kind, path: Path) -> Row:
    """LiteRT only: whether one XNNPACK delegate takes the whole graph."""
    if kind[0] != "litert":
        return {}
    from convert.targets.tflite import delegate_coverage

    found = delegate_coverage(path)
    return {"delegates": found.delegates, "delegated": f"{found.delegated} of {found.operators}"}


def speedup_of(key: str, timings: dict[str, Timings]) -> Row | None:
    """Times faster than the full U-Net in the same runtime and precision; None for itself, or without it."""
    from acwskd_edge.bench.latency import speedup

    _, _, kind = key.partition(" ")
    baseline = f"{BASELINE} {kind}"
    return None if key == baseline or baseline not in timings else speedup(timings[key], timings[baseline])


def grid_of(args: Any, size: int) -> str:
    """For instance `1x128-4`: channels, side and classes, in names of folders."""
    return f"{args.channels}x{size}-{args.classes}"


def published_check() -> list[Row]:
    """Our implementations against the published counts, on the published grid."""
    import torch

    from acwskd_edge.models import import_factory
    from benchmarks.cost import macs, parameters

    rows = []
    for name, peer in PEERS.items():
        if peer.published is None:
            continue
        with torch.device("meta"):
            network = import_factory(peer.model)(3, 1)
        counted = parameters(network), macs(network, 3, 256, 256)
        rows.append(
            {
                "model": name,
                "grid": "3x256x256, one class",
                "parameters": counted[0],
                "published_parameters": round(peer.published[0] * 1e6),
                "macs": counted[1],
                "published_macs": round(peer.published[1] * 1e9),
            }
        )
    return rows


def table_of(rows: list[Row]) -> str:
    """Markdown, one line a network and size: its costs, and in every runtime milliseconds and times faster."""
    from benchmarks.collect import markdown
    from benchmarks.table import count, milliseconds, times

    def cell(row: Row) -> str:
        if "latency" not in row:
            return "-"
        ratio = f", {times(row['speedup'])}" if row["speedup"] else ""
        return f"{milliseconds(row['latency']['median_ms'])} ms{ratio}"

    kinds = list(dict.fromkeys(f"{row['runtime']} {row['precision']}" for row in rows))
    lines = []
    for size, model in dict.fromkeys((row["size"], row["model"]) for row in rows):
        own = [row for row in rows if (row["size"], row["model"]) == (size, model)]
        cells = {f"{row['runtime']} {row['precision']}": cell(row) for row in own}
        costs = [count(own[0].get(name)) for name in ("parameters", "macs")]
        lines.append([str(size), model, *costs, *(cells[kind] for kind in kinds)])
    return markdown(["pixels", "network", "parameters", "MACs", *kinds], lines)


def caption_of(rows: list[Row]) -> str:
    """What the table's figures are, how sure, and why one is missing."""
    ratios = [row["speedup"] for row in rows if row.get("speedup") and row["speedup"]["ci95"]]
    widest = max((max(one["ci95"][1] / one["ratio"], one["ratio"] / one["ci95"][0]) - 1 for one in ratios), default=0)
    said = f"Median, and times faster than {BASELINE} in the same runtime and precision"
    said += f", each ratio's 95 % interval within {100 * widest:.1f} %." if ratios else "."
    lines = [
        f"- {row['model']} {row['runtime']} {row['precision']} at {row['size']}: {row['missing'][:140]}"
        for row in rows
        if "missing" in row
    ]
    return "\n".join([said, *lines])


def as_csv(rows: list[Row]) -> str:
    """The rows flat."""
    columns = ["model", "size", "runtime", "precision", "code", "parameters", "macs", "mb", "delegates", "delegated"]
    timed = ["n", "median_ms", "p90_ms", "min_ms"]
    extra = ["median_low_ms", "median_high_ms", "x_unet64", "x_unet64_low", "x_unet64_high", "missing"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*columns, *timed, *extra], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        flat = dict(row)
        if latency := row.get("latency"):
            flat |= latency
            flat["median_low_ms"], flat["median_high_ms"] = latency["median_ci95_ms"] or ("", "")
        if speedup := row.get("speedup"):
            flat["x_unet64"] = speedup["ratio"]
            flat["x_unet64_low"], flat["x_unet64_high"] = speedup["ci95"] or ("", "")
        writer.writerow(flat)
    return stream.getvalue()


def surroundings(args: Any, names: list[str], kinds: list[Kind]) -> dict[str, Any]:
    """What every row of a results file shares; another of these is another measurement."""
    from acwskd_edge.machine import machine, versions
    from convert.targets import TARGETS

    packages = [(one.package, one.package) for one in PEERS.values() if one.package]
    packages += [("torch", "torch"), *TARGETS["onnx"].packages, *TARGETS["tflite"].packages]
    settings = {
        "models": names,
        "runtimes": [":".join(kind) for kind in kinds],
        "channels": args.channels,
        "classes": args.classes,
        "threads": 1,
        "rounds": args.rounds,
        "weights": "random",
        "speedup": f"geometric mean over rounds of the time of {BASELINE}, same runtime and precision, over the row's",
    }
    return {"settings": settings, "machine": machine(), "versions": versions(tuple(dict.fromkeys(packages)))}


def chosen(text: str, known: list[str], option: str) -> list[str]:
    """A comma-separated choice.

    Raises:
        UsageError: an unknown name.
    """
    names = [word.strip() for word in text.split(",") if word.strip()]
    if odd := [name for name in names if name not in known]:
        raise UsageError(f"{option} {odd[0]}", allowed=", ".join(known))
    return names


def main() -> int:
    """Parse, measure size by size, print and write; a killed run continues with the next size."""
    parser = Parser("python -m benchmarks.peers", __doc__ or "", EXAMPLES)
    parser.add_argument("--models", default=",".join(PEERS), help="comma-separated (all): %(default)s")
    parser.add_argument("--sizes", default="128,224,256", help="sides of the input, pixels (128,224,256)")
    parser.add_argument(
        "--runtimes",
        default="onnxruntime:fp32,onnxruntime:int8,litert:fp32,litert:int8",
        help="runtime:precision, comma-separated (%(default)s)",
    )
    parser.add_argument("--channels", type=int, default=1, help="of the image (1)")
    parser.add_argument("--classes", type=int, default=4, help="with background (4, as ACDC)")
    parser.add_argument("--rounds", type=int, default=50, help="turns of every artefact, a tenth of a second each (50)")
    parser.add_argument("--work", type=Path, default=Path("runs/peers"), help="artefacts stay here (runs/peers)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write; the CSV lies beside it")
    args = parser.parse_args()
    names = chosen(args.models, list(PEERS), "--models")
    sizes = chosen(args.sizes, [str(side) for side in range(32, 1025, 32)], "--sizes")
    if not names or not sizes or args.rounds < 10 or args.channels < 1 or args.classes < 2:
        raise UsageError(
            "nothing to measure", allowed="models, sizes, --rounds 10 or more, 1 channel, 2 classes or more"
        )

    import torch

    from acwskd_edge.files import only_writer, write_atomic, write_json
    from benchmarks.emitted import kinds_of

    torch.set_num_threads(1)
    shared = surroundings(args, names, kinds_of(args.runtimes))
    key = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()
    rows = resumed(args.output, key)
    with only_writer(args.work):
        for size in map(int, sizes):
            if any(row["size"] == size for row in rows):
                print(f"{size}x{size}: measured already", file=sys.stderr)
                continue
            rows += measure(size, names, kinds_of(args.runtimes), args)
            write_json(args.output, {"key": key, **shared, "published": published_check(), "rows": rows})
            write_atomic(args.output.with_suffix(".csv"), as_csv(rows))
    shown = [row for row in rows if str(row["size"]) in sizes]
    print(f"{table_of(shown)}\n\n{caption_of(shown)}")
    print(f"{args.output}\nnext: python -m benchmarks.sweep peers --data acdc:FOLDER    # their Dice, one recipe")
    return 0


def resumed(path: Path, key: str) -> list[Row]:
    """Rows of the same measurement that an earlier, killed run has written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return list(found["rows"]) if isinstance(found, dict) and found.get("key") == key else []


if __name__ == "__main__":
    sys.exit(exit_with(main))
