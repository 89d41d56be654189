"""`python -m benchmarks.tails`: which way from logits to the mask of a raw artefact is fastest.

Every candidate is emitted by the target itself as a whole raw graph, pixels in and mask out, and all graphs of one
network and runtime are timed in alternation, one thread, in CPU time of the process. `argmax` is what `convert` ships.
A candidate may replace it only if its mask is the same at every pixel, ties included, and it is faster beyond the
spread in every setting of its runtime.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import exit_with

if TYPE_CHECKING:
    from torch import Tensor

    from acwskd_edge.models.unet import UNet
    from convert.export import Tail

EXAMPLES = """
python -m benchmarks.tails -o benchmarks/results/tails-size224-xeon-1thread.json
python -m benchmarks.tails --models s2d16 --classes 14 --size 128 -o tails.json
"""
SHIPPED = "argmax"
BEFORE = "before upsampling"
RUNTIMES = {"onnxruntime": "onnx", "litert": "tflite"}  # what is timed -> the target that emits for it
IMAGES = 4  # on which masks are compared


def int32(logits: Tensor, dim: int) -> Tensor:
    """Without the last cast, as far as the runtime lets one."""
    return logits.argmax(dim).int()


def int64(logits: Tensor, dim: int) -> Tensor:
    """Without any cast in ONNX; TFLite has int32 here."""
    return logits.argmax(dim)


def channels_last(logits: Tensor, dim: int) -> Tensor:
    """Classes of a pixel side by side in memory, as TFLite has them anyway."""
    return logits.movedim(dim, -1).argmax(-1).byte()


def running_maximum(logits: Tensor, dim: int) -> Tensor:
    """Class by class, the winner so far."""
    best, *others = logits.chunk(logits.shape[dim], dim)
    winner = best * 0
    for k, one in enumerate(others, 1):
        winner = winner.masked_fill(one > best, k)
        best = best.maximum(one)
    return winner.squeeze(dim).byte()


def compare(logits: Tensor, dim: int) -> Tensor:
    """Find the maximum, then the lowest class that equals it."""
    count = logits.shape[dim]
    shape = [count if axis == dim % 4 else 1 for axis in range(4)]
    rank = logits.new_tensor(range(count, 0, -1)).reshape(shape)
    return (count - ((logits >= logits.amax(dim, keepdim=True)).float() * rank).amax(dim)).byte()


def top_k(logits: Tensor, dim: int) -> Tensor:
    """The sorting operator, asked for one; which of equal logits it takes is up to the runtime."""
    return logits.topk(1, dim).indices.squeeze(dim).byte()


def doubled(logits: Tensor, dim: int) -> Tensor:
    """Of coarse logits: classes decided there, each copied to 2x2 pixels. Not the same mask."""
    return logits.argmax(dim).byte().repeat_interleave(2, 1).repeat_interleave(2, 2)


CANDIDATES: dict[str, Tail] = {
    "int32": int32,
    "int64": int64,
    "channels last": channels_last,
    "running maximum": running_maximum,
    "maximum, compare": compare,
    "top k": top_k,
}


def graphs_of(network: UNet) -> dict[str, tuple[UNet, Tail]]:
    """Name -> network and tail; a network that upsamples its logits has one candidate more."""
    import copy

    from convert.export import argmax

    found = {name: (network, tail) for name, tail in {SHIPPED: argmax, **CANDIDATES}.items()}
    if network.stem > 1:
        coarse = copy.copy(network)
        coarse.stem = 1  # logits stay on the stem's grid
        found[BEFORE] = (coarse, doubled)
    return found


def undecided(network: UNet, images: Tensor) -> UNet:
    """An untrained network whose masks have all classes but one: class 2 ties with class 1 at every pixel."""
    import torch

    with torch.no_grad():
        network.train()(images)  # batch norm sees what it will meet
        network.head.weight[2] = network.head.weight[1]
        network.head.register_parameter("bias", None)  # so that no class wins by it alone
    return network.eval()


def measure(model: str, classes: int, size: int, runtime: str, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """One row per candidate that the target emits; `folder` is empty and receives the artefacts."""
    from dataclasses import dataclass
    from functools import partial

    import numpy as np
    import torch

    from acwskd_edge import runtimes
    from acwskd_edge.bench.latency import interleave, speedup
    from acwskd_edge.contract import Contract, Intensity, Label
    from acwskd_edge.errors import RefusedError
    from acwskd_edge.evaluate import feed
    from acwskd_edge.models import build_model
    from acwskd_edge.preprocess import normalise, to_grid
    from convert.export import Job, RawGraph, argmax
    from convert.targets import find_target

    @dataclass(frozen=True)
    class TailJob(Job):
        tail: Tail = argmax

        @property
        def graph(self) -> RawGraph:
            return RawGraph(self.network, self.contract, self.tail).eval()

    torch.manual_seed(0)
    labels = tuple(Label(k, f"class {k}", (0, 0, 0)) for k in range(classes))
    norm = Intensity(0.0, 255.0, (127.5,), (73.9,))
    contract = Contract("tails", "MR", size, size, 1, "uint8", "letterbox", norm, labels, None, "none")
    noise = np.random.default_rng(0).integers(0, 256, (IMAGES, size // 8, size // 8), np.uint8)
    pixels = [to_grid(one, contract) for one in noise]  # eight times larger: smooth shapes
    images = [feed(one, contract, "raw") for one in pixels]
    normal = torch.from_numpy(np.concatenate([normalise(one, contract) for one in pixels]))
    network = undecided(build_model(model, 1, classes), normal)
    rows: dict[str, dict[str, Any]] = {}
    loaded, masks = {}, {}
    for number, (name, (body, tail)) in enumerate(graphs_of(network).items()):
        row = rows[name] = {"model": model, "classes": classes, "runtime": runtime, "tail": name}
        place = folder / str(number)
        place.mkdir()
        job = TailJob(body, contract, "fp32", "raw", [], place, tail=tail)
        try:
            path = find_target(RUNTIMES[runtime]).emit(job)
        except RefusedError as error:
            row["refused"] = error.what
            continue
        loaded[name] = runtimes.load(runtime, path)
        masks[name] = np.stack([loaded[name](image) for image in images])
        row["dtype"] = str(masks[name].dtype)
        row["agreement"] = round(float(np.mean(masks[name] == masks[SHIPPED])), 6)
    timings = interleave({name: partial(one, images[0]) for name, one in loaded.items()}, rounds, time.process_time_ns)
    for name, found in timings.items():
        rows[name] |= {"latency": found.to_dict(), "speedup": speedup(found, timings[SHIPPED])}
    return list(rows.values())


def line_of(row: dict[str, Any]) -> str:
    """A row on the screen."""
    start = f"{row['model']:<8}{row['classes']:>3} {row['runtime']:<12}{row['tail']:<18}"
    if "refused" in row:
        return f"{start}refused: {row['refused']}"
    low, high = row["speedup"]["ci95"]
    return (
        f"{start}{row['dtype']:<6}{row['latency']['median_ms']:8.3f} ms  {row['speedup']['ratio']:.3f} x "
        f"({low:.3f} to {high:.3f})  agreement {row['agreement']:.6f}"
    )


def faster(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Tails that deserve to be shipped: uint8, exact, and faster than the shipped one beyond the spread everywhere.

    Wider integers leave the conversion to the app, and a single setting that is faster may be chance.

    Returns:
        runtime and tail of each.
    """
    found: dict[tuple[str, str], list[bool]] = {}
    for row in rows:
        if "refused" not in row and row["tail"] != SHIPPED:
            better = row["dtype"] == "uint8" and row["agreement"] == 1 and row["speedup"]["ci95"][0] > 1
            found.setdefault((row["runtime"], row["tail"]), []).append(better)
    return [{"runtime": runtime, "tail": tail} for (runtime, tail), better in found.items() if all(better)]


def main() -> int:
    """Parse, measure, print and write."""
    parser = Parser("python -m benchmarks.tails", __doc__ or "", EXAMPLES)
    parser.add_argument("--models", default="s2d16,unet16", help="comma-separated (s2d16,unet16)")
    parser.add_argument("--classes", default="4,14", help="numbers of classes, comma-separated (4,14)")
    parser.add_argument("--size", type=int, default=224, help="side of the input, pixels (224)")
    parser.add_argument("--rounds", type=int, default=100, help="timed runs of every graph (100)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()

    import torch

    from acwskd_edge.files import write_json
    from acwskd_edge.machine import machine, versions
    from convert.targets import TARGETS

    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for model in args.models.split(","):
        for classes in args.classes.split(","):
            for runtime in RUNTIMES:
                with tempfile.TemporaryDirectory() as folder:
                    found = measure(model, int(classes), args.size, runtime, args.rounds, Path(folder))
                print("\n".join(line_of(row) for row in found), flush=True)
                rows += found
    better = faster(rows)
    names = ", ".join(f"{one['tail']} in {one['runtime']}" for one in better)
    print(f"uint8, exact, and faster than {SHIPPED} beyond the spread in every setting: {names or 'none'}")
    packages = (("torch", "torch"), *(one for target in RUNTIMES.values() for one in TARGETS[target].packages))
    settings = {"size": args.size, "threads": 1, "clock": "CPU time of the process", "rounds": args.rounds}
    settings |= {"precision": "fp32", "shipped": SHIPPED}
    write_json(
        args.output,
        {"settings": settings, "machine": machine(), "versions": versions(packages), "faster": better, "rows": rows},
    )
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
