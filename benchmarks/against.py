"""`python -m benchmarks.against RUN`: our artefacts against what a user would type instead, in one run.

The same network, the same validation cases, the same training slices to calibrate on. Everybody's time goes from
pixels on the network's grid to a uint8 mask, one thread: ours are raw artefacts, the others' intensity rule, layout and
argmax are numpy. All files of one runtime are timed in alternation, in CPU time of the process, which on one thread is
what a clock on the wall shows when nothing else runs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from acwskd_edge.contract import Contract
    from acwskd_edge.runtimes import Runtime
    from benchmarks.rivals import Given, Mask
    from convert.gate import Reference

EXAMPLES = """
python -m benchmarks.against runs/student -o benchmarks/results/against.json
python -m benchmarks.against runs/student --without onnx2tf -o against.json
"""
OURS = {"onnx": "onnxruntime", "tflite": "litert"}  # target -> runtime
PRECISIONS = ("fp32", "int8")
GOAL = 0.9  # of the others' time

Row = dict[str, Any]


def row_of(runtime: str, precision: str, typed: str, path: Path) -> Row:
    """What is known of a file before it runs."""
    return {"runtime": runtime, "precision": precision, "typed": typed, "mb": round(path.stat().st_size / 1e6, 3)}


def raw_mask(runtime: Runtime, contract: Contract, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """A raw artefact of ours: pixels (h, w, C) -> mask (h, w)."""
    from acwskd_edge.evaluate import feed

    return runtime(feed(pixels, contract, "raw"))[0].astype("uint8", copy=False)


def emit_ours(given: Given, calibration: list[NDArray[np.generic]], rows: dict[str, Row]) -> dict[str, Mask]:
    """As `python -m convert` does; adds a row for each and returns them ready to run."""
    from acwskd_edge import runtimes
    from convert.export import Job
    from convert.targets import TARGETS

    masks: dict[str, Mask] = {}
    for target, runtime in OURS.items():
        for precision in PRECISIONS:
            job = Job(given.network, given.contract, precision, "raw", calibration, given.folder)
            path = TARGETS[target].emit(job)
            name = ours_of(runtime, precision)
            typed = f"python -m convert RUN --target {target} --precision {precision} --io raw"
            rows[name] = row_of(runtime, precision, typed, path)
            masks[name] = partial(raw_mask, runtimes.load(runtime, path), given.contract)
    return masks


def ours_of(runtime: str, precision: str) -> str:
    """Name of our own row of this runtime and precision."""
    return f"ours {runtime} {precision}"


def emit_rivals(given: Given, without: list[str], rows: dict[str, Row]) -> dict[str, Mask]:
    """Every rival that works here; one that fails gets a row with the reason."""
    from benchmarks.rivals import RIVALS, load

    masks: dict[str, Mask] = {}
    for name, rival in RIVALS.items():
        if name in without or rival.tool in without:
            continue
        print(f"{name}: {rival.typed}", file=sys.stderr, flush=True)
        try:
            path = rival.emit(given)
            masks[name] = load(rival.runtime, path, given.contract)
            rows[name] = row_of(rival.runtime, rival.precision, rival.typed, path)
        except Exception as error:  # its failure is a result, whatever the type
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            rows[name] = {"runtime": rival.runtime, "precision": rival.precision, "typed": rival.typed}
            rows[name]["failed"] = reason
    return masks


def accuracy(mask: Mask, reference: Reference, contract: Contract) -> Row:
    """Dice change (negative is worse) in the mean and in the worst class, and agreement with the checkpoint."""
    import numpy as np

    from acwskd_edge.evaluate import score
    from acwskd_edge.preprocess import mask_of

    made: list[NDArray[np.uint8]] = []

    def segment(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        made.extend(mask(piece) for piece in pixels)
        return np.stack(made[-len(pixels) :])

    scores = score(segment, reference.cases, contract)
    change = scores.per_class - reference.scores.per_class
    worst = int(np.nanargmin(change))
    equal = [np.mean(one == mask_of(wanted)[0]) for one, wanted in zip(made, reference.logits, strict=True)]
    return {
        "dice": round(scores.mean, 6),
        "dice_change": round(scores.mean - reference.scores.mean, 6),
        "worst_class": {"name": scores.classes[worst], "dice_change": round(float(change[worst]), 6)},
        "argmax_agreement": round(float(np.mean(equal)), 6),
    }


def measure(run: Path, where: str | None, count: int, rounds: int, without: list[str]) -> dict[str, Any]:
    """Emit, execute and time everything; returns what the results file holds.

    Raises:
        UsageError: not a finished run.
        DataError: its data is not there, or split otherwise.
    """
    import torch

    from acwskd_edge import runtimes
    from acwskd_edge.bench.latency import interleave, speedup
    from acwskd_edge.data import cases_in
    from acwskd_edge.evaluate import prepare
    from acwskd_edge.files import sha256
    from acwskd_edge.machine import machine, versions
    from acwskd_edge.preprocess import normalise
    from acwskd_edge.runtimes.torch_eager import load_network
    from benchmarks.rivals import Given
    from convert.basis import check_run, run_data
    from convert.calibration import choose
    from convert.gate import reference_of
    from convert.targets import TARGETS
    from train.state import WEIGHTS

    check_run(run)
    torch.set_num_threads(1)
    network, contract = load_network(run / WEIGHTS)
    data = run_data(run, contract, where)
    cases = prepare(data, cases_in(data, "val")[: count or None], contract)
    reference = reference_of(runtimes.load("torch", run / WEIGHTS), cases, contract)
    calibration = choose(data, contract).pixels
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        given = Given(network, contract, [normalise(one, contract) for one in calibration], Path(folder))
        masks = emit_ours(given, calibration, rows) | emit_rivals(given, without, rows)
        for name, mask in masks.items():
            rows[name] |= accuracy(mask, reference, contract)
        pixels = cases[0].pixels[len(cases[0].pixels) // 2]
        for runtime in OURS.values():
            mine = {name: partial(mask, pixels) for name, mask in masks.items() if rows[name]["runtime"] == runtime}
            timings = interleave(mine, rounds, time.process_time_ns)
            for name, found in timings.items():
                ours = timings[ours_of(runtime, rows[name]["precision"])]
                rows[name] |= {"latency": found.to_dict(), "ours_of_its_time": speedup(found, ours)}
    provenance = contract.provenance
    return {
        "settings": {
            "threads": 1,
            "clock": "CPU time of the process",
            "rounds": rounds,
            "calibration_slices": len(calibration),
            "goal": GOAL,
        },
        "subject": {
            "model": provenance.get("model"),
            "data": provenance.get("data"),
            "steps": provenance.get("steps"),
            "grid": f"{contract.channels}x{contract.height}x{contract.width}",
            "checkpoint_sha256": sha256(run / WEIGHTS),
            "checkpoint_dice": round(reference.scores.mean, 6),
            "val_cases": reference.scores.cases,
        },
        "machine": machine(),
        "versions": versions((("torch", "torch"), *(one for name in OURS for one in TARGETS[name].packages))),
        "rows": rows,
        "not_better": not_better(rows),
    }


def not_better(rows: dict[str, Row]) -> list[str]:
    """Where ours loses more Dice than a rival of its runtime and precision, or takes more than GOAL of its time."""
    found = []
    for name, row in rows.items():
        ours = rows[ours_of(row["runtime"], row["precision"])]
        if row is ours or "failed" in row:
            continue
        if ours["dice_change"] < row["dice_change"]:
            found.append(f"Dice change {ours['dice_change']:+.4f}, {name} {row['dice_change']:+.4f}")
        ratio, (low, high) = row["ours_of_its_time"]["ratio"], row["ours_of_its_time"]["ci95"]
        if ratio > GOAL:
            found.append(f"{row['runtime']} {row['precision']}: {ratio:.2f} ({low:.2f} to {high:.2f}) of {name}'s time")
    return found


def line_of(name: str, row: Row) -> str:
    """A row on the screen."""
    start = f"{name:<24}{row['runtime']:<12}{row['precision']:<5}"
    if "failed" in row:
        return f"{start}failed: {row['failed']}"
    ratio, (low, high) = row["ours_of_its_time"]["ratio"], row["ours_of_its_time"]["ci95"]
    theirs = "" if name.startswith("ours") else f"  ours {ratio:.2f} ({low:.2f} to {high:.2f})"
    return (
        f"{start}{row['mb']:7.3f} MB  Dice {row['dice_change']:+.4f} (worst {row['worst_class']['name']} "
        f"{row['worst_class']['dice_change']:+.4f})  argmax {row['argmax_agreement']:.5f}  "
        f"{row['latency']['median_ms']:7.3f} ms{theirs}"
    )


def main() -> int:
    """Parse, measure, print and write."""
    parser = Parser("python -m benchmarks.against", __doc__ or "", EXAMPLES)
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run folder of python -m train")
    parser.add_argument("--cases", type=int, default=0, help="validation cases (all)")
    parser.add_argument("--rounds", type=int, default=100, help="timed runs of every file (100)")
    parser.add_argument("--without", default="", help="rivals to leave out, comma-separated, for instance onnx2tf")
    parser.add_argument("--data", help="kind:path, if the run's data has moved")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    if args.cases < 0 or args.rounds < 1:
        raise UsageError(f"--cases {args.cases} --rounds {args.rounds}", allowed="0 (all) or more; 1 or more")

    from acwskd_edge.files import write_json

    without = [word.strip() for word in args.without.split(",") if word.strip()]
    found = measure(args.run, args.data, args.cases, args.rounds, without)
    write_json(args.output, found)
    print("\n".join(line_of(name, row) for name, row in found["rows"].items()))
    print(f"last column: our time divided by theirs; mean Dice of the checkpoint {found['subject']['checkpoint_dice']}")
    for one in found["not_better"]:
        print(f"ours is not better: {one}")
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
