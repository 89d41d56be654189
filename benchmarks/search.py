"""`python -m benchmarks.search`: the most accurate student that keeps a latency, measured, on the device.

1. Every candidate is converted with random weights and timed in the runtimes named, on the device, one thread; its
   latency is that of its fastest artefact. Those above --max-ms are out.
2. The others are trained with one recipe for a short while, the better part for longer, and so on (successive halving;
   every rung from the start, so that its schedule is whole), and judged by validation Dice.

Run again, it continues: artefacts, timings and finished trainings are recognised, killed trainings resume.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import RefusedError, UsageError, exit_with
from benchmarks.device import options

if TYPE_CHECKING:
    from benchmarks.candidates import Candidate
    from benchmarks.emitted import Kind
    from benchmarks.grid import Run
    from benchmarks.latencies import Question

EXAMPLES = """
python -m benchmarks.search --data acdc:data/acdc --size 128 --max-ms 2
python -m benchmarks.search --data acdc:data/acdc --max-ms 5 --runtimes onnxruntime:fp32 --stems 1,2 --widths 8,16,24
python -m benchmarks.search --data phantom --size 96 --max-ms 1 --steps 300 --rungs 2 --jobs 2 --set threads=1
python -m benchmarks.search --max-ms 5 --latency-only
python -m benchmarks.search --data acdc:data/acdc --max-ms 8 --device ssh:pi@raspberrypi --python '~/venv/bin/python'
"""
Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What the command line chose."""

    question: Question  # what is measured of every candidate
    max_ms: float
    recipe: str
    fields: dict[str, Any]  # recipe fields of every training
    steps: int  # of the last rung
    rungs: int
    keep: int  # one in so many goes on to the next rung
    jobs: int  # trainings at once


def space(stems: list[int], widths: list[int], levels: list[int], merges: list[int], size: int) -> list[Candidate]:
    """Every combination that fits the size.

    Raises:
        UsageError: none does.
    """
    from benchmarks.candidates import Candidate

    every = [Candidate(*one) for one in itertools.product(stems, widths, levels, merges)]
    fitting = [one for one in every if size % one.stride == 0]
    if not fitting:
        allowed = f"a size divisible by one of {', '.join(map(str, sorted({one.stride for one in every})))}"
        raise UsageError(f"--size {size} fits no candidate", allowed=allowed)
    if skipped := len(every) - len(fitting):
        print(f"{skipped} candidate(s) left out: {size} is not divisible by their stride", file=sys.stderr)
    return fitting


def halved(rows: list[Row], settings: Settings) -> list[list[Row]]:
    """Train in rungs; returns every rung's rows with `dice` and `steps`, the best first."""
    from benchmarks.candidates import from_name
    from benchmarks.sweep import dice_of, train_all

    rungs: list[list[Row]] = []
    entered = rows
    for rung in range(settings.rungs):
        steps = max(1, settings.steps // settings.keep ** (settings.rungs - 1 - rung))
        runs = {row["name"]: run_of(row, steps, rung, settings) for row in entered}
        print(f"rung {rung + 1} of {settings.rungs}: {len(runs)} candidate(s), {steps} steps", flush=True)
        failures = train_all(list(runs.values()), settings.jobs, lambda: None)
        for run, why in failures.items():
            print(f"failed: {run}: {why}", file=sys.stderr)
        lost = {run.method for run in failures}
        done = [
            {**row, "steps": steps, "dice": round(dice_of(runs[row["name"]]), 4)}
            for row in entered
            if row["name"] not in lost and from_name(row["name"])
        ]
        if not done:
            raise RefusedError("every training failed", hint=f"read {settings.question.out}/rung{rung + 1}/*/train.log")
        done.sort(key=lambda row: (-row["dice"], row["ms"]))
        rungs.append(done)
        entered = done[: math.ceil(len(done) / settings.keep)]
    return rungs


def run_of(row: Row, steps: int, rung: int, settings: Settings) -> Run:
    """One training of a candidate, in a folder of its own."""
    from benchmarks.candidates import from_name
    from benchmarks.grid import Run

    candidate = from_name(row["name"])
    assert candidate is not None
    overrides = {**settings.fields, **candidate.fields, "size": settings.question.size, "steps": steps}
    seed = int(settings.fields.get("seed", 0))
    folder = settings.question.out / f"rung{rung + 1}" / row["name"]
    return Run(row["name"], seed, folder, settings.recipe, overrides, None, float(row["macs"] * steps))


def front(rows: list[Row]) -> list[Row]:
    """Those that no other one beats in both latency and Dice, the fastest first."""
    found: list[Row] = []
    for row in sorted(rows, key=lambda one: (one["ms"], -one["dice"])):
        if not found or row["dice"] > found[-1]["dice"]:
            found.append(row)
    return found


def recipe_of(winner: Row, settings: Settings) -> str:
    """The winner's recipe as YAML, with its name in the registry where it has one."""
    import yaml

    from benchmarks.candidates import from_name
    from train.recipe import load_recipe

    candidate = from_name(winner["name"])
    assert candidate is not None
    known = registered(candidate)
    fields = {"model": known} if known else candidate.fields
    recipe = load_recipe(
        settings.recipe, {**settings.fields, **fields, "size": settings.question.size, "steps": settings.steps}
    )
    head = f"# Found by python -m benchmarks.search: {line_of(winner)}\n"
    return head + str(yaml.safe_dump(recipe.to_dict(), sort_keys=False))


def registered(candidate: Candidate) -> str:
    """The registry's name of the same network; empty if it has none."""
    import torch

    from acwskd_edge.models import MODELS

    with torch.device("meta"):
        ours = {key: tuple(value.shape) for key, value in candidate.build(1, 2).state_dict().items()}
        for name, build in MODELS.items():
            other = build(1, 2)
            same = {key: tuple(value.shape) for key, value in other.state_dict().items()} == ours
            if same and other.stem == candidate.stem:
                return name
    return ""


def line_of(row: Row) -> str:
    """A row on the screen."""
    text = f"{row['name']:<12}{row['parameters'] / 1e6:7.3f} M{row['macs'] / 1e6:9.1f} MMACs"
    text += f"{row['ms']:9.3f} ms {row['fastest']}" if row["ms"] is not None else "  not converted"
    return text + (f"  Dice {row['dice']:.4f} after {row['steps']} steps" if "dice" in row else "")


def as_csv(rows: list[Row], rungs: list[list[Row]], kinds: list[Kind]) -> str:
    """One row per candidate: cost, latency of every artefact, Dice of every rung it reached."""
    stream = io.StringIO()
    names = [":".join(kind) for kind in kinds]
    steps = [f"dice_{rung[0]['steps']}_steps" for rung in rungs]
    header = ["name", "parameters", "macs", "fastest", "ms", *(f"{name} ms" for name in names), *steps]
    writer = csv.DictWriter(stream, header, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        flat = row | {f"{name} ms": row["latency"].get(name, {}).get("median_ms", "") for name in names}
        for column, rung in zip(steps, rungs, strict=True):
            flat[column] = next((one["dice"] for one in rung if one["name"] == row["name"]), "")
        writer.writerow(flat)
    return stream.getvalue()


def draw(rungs: list[list[Row]], max_ms: float) -> str:
    """SVG: latency against Dice, one colour a rung, its front as a line."""
    import matplotlib
    from matplotlib.figure import Figure

    from benchmarks.pictures import COLOURS, GREY

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "acwskd", "font.size": 10}):
        figure = Figure(figsize=(7.6, 5.2), layout="constrained")
        axes = figure.subplots()
        for index, rung in enumerate(rungs):
            colour, best = COLOURS[index % len(COLOURS)], front(rung)
            axes.scatter([one["ms"] for one in rung], [one["dice"] for one in rung], s=26, color=colour, zorder=3)
            axes.plot([one["ms"] for one in best], [one["dice"] for one in best], color=colour, lw=1, alpha=0.7)
            axes.plot([], [], "o-", color=colour, label=f"{rung[0]['steps']} steps, {len(rung)} candidate(s)")
            for place, one in enumerate(best):  # neighbours above and below in turn
                offset = (4, -11) if place % 2 else (4, 5)
                axes.annotate(
                    one["name"], (one["ms"], one["dice"]), xytext=offset, textcoords="offset points", fontsize=7
                )
        axes.axvline(max_ms, color=GREY, ls="--", lw=1, label=f"--max-ms {max_ms:g}")
        axes.set(xscale="log", xlabel="median latency of the fastest artefact, ms (log)", ylabel="validation Dice")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axes.margins(x=0.12, y=0.12)
        axes.grid(True, which="both", lw=0.3, alpha=0.35)
        axes.legend(fontsize=8, loc="lower right")
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def search(candidates: list[Candidate], settings: Settings, *, latency_only: bool) -> None:
    """Both stages; prints the ranking, the fronts and the winner, and writes search.json, .csv, .svg, winner.yaml.

    Raises:
        RefusedError: no candidate keeps the latency, or every training failed.
    """
    from acwskd_edge.files import write_atomic, write_json
    from acwskd_edge.machine import machine, versions
    from benchmarks.latencies import measured
    from convert.targets import TARGETS

    out = settings.question.out
    rows = measured(candidates, settings.question)
    inside = [row for row in rows if row["ms"] is not None and row["ms"] <= settings.max_ms]
    print("\n".join(line_of(row) + ("" if row in inside else "  out") for row in rows))
    print(f"{len(inside)} of {len(rows)} candidates within {settings.max_ms:g} ms")
    if not inside:
        fastest = f"{rows[0]['name']} takes {rows[0]['ms']} ms" if rows[0]["ms"] else "none was converted"
        raise RefusedError(
            f"no candidate within {settings.max_ms:g} ms; {fastest}", hint="a higher --max-ms or a smaller --size"
        )
    if latency_only:
        return
    rungs = halved(inside, settings)
    winner = rungs[-1][0]
    shared = {
        "max_ms": settings.max_ms,
        "runtimes": [":".join(kind) for kind in settings.question.kinds],
        "size": settings.question.size,
        "device": settings.question.place.name,
        "threads": 1,
        "rounds": settings.question.runs,
        "recipe": settings.recipe,
        "fields": {**settings.fields, "data": str(settings.fields["data"]).partition(":")[0]},
        "judged_by": "mean validation Dice of the float checkpoint, one seed",
    }
    packages = (("torch", "torch"), *TARGETS["onnx"].packages, *TARGETS["tflite"].packages)
    report = {"settings": shared, "machine": machine(), "versions": versions(packages)}
    write_json(
        out / "search.json",
        {**report, "candidates": rows, "rungs": rungs, "fronts": [front(rung) for rung in rungs], "winner": winner},
    )
    write_atomic(out / "search.csv", as_csv(rows, rungs, settings.question.kinds))
    write_atomic(out / "search.svg", draw(rungs, settings.max_ms))
    text = recipe_of(winner, settings)
    write_atomic(out / "winner.yaml", text)
    for rung in rungs:
        print(f"\nPareto front at {rung[0]['steps']} steps, of {len(rung)} candidate(s):")
        print("\n".join(line_of(row) for row in front(rung)))
    print(
        f"\nwinner: {line_of(winner)}\n(one seed, a short schedule: differences near .01 may be the seed's)\n\n{text}"
    )
    print(f"{out / 'search.svg'}\n{out / 'search.json'}")
    print(f"next: python -m train --recipe {out / 'winner.yaml'} --out runs/student --steps {4 * settings.steps}")


def numbers(text: str, option: str, least: int) -> list[int]:
    """Comma-separated whole numbers.

    Raises:
        UsageError: anything else.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdigit() and int(word) >= least for word in words):
        raise UsageError(f"{option} {text}", allowed=f"whole numbers from {least}, comma-separated")
    return [int(word) for word in words]


def parsed() -> Any:
    """The command line."""
    parser = Parser("python -m benchmarks.search", __doc__ or "", EXAMPLES)
    parser.add_argument("--data", default="phantom", help="kind:path, trained and validated on (phantom)")
    parser.add_argument("--size", type=int, default=128, help="side of the input, pixels (128)")
    parser.add_argument("--max-ms", type=float, required=True, help="the latency to keep, milliseconds, one thread")
    parser.add_argument("--runtimes", default="litert:int8,litert:fp32", help="runtime:precision,... (%(default)s)")
    parser.add_argument("--stems", default="1,2,4", help="space-to-depth factors (1,2,4)")
    parser.add_argument("--widths", default="8,16,24,32", help="channels of the first level (8,16,24,32)")
    parser.add_argument("--levels", default="3,4,5", help="resolutions (3,4,5)")
    parser.add_argument("--merges", default="1,2", help="convolutions of a decoder level (1,2)")
    parser.add_argument("--runs", type=int, default=50, help="timed runs of every artefact (50)")
    parser.add_argument("--recipe", default="plain", help="of every training: a shipped recipe or a YAML file (plain)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="any recipe field")
    parser.add_argument("--steps", type=int, default=1000, help="of the last rung (1000)")
    parser.add_argument("--rungs", type=int, default=2, help="trainings of the best (2)")
    parser.add_argument("--keep", type=int, default=3, help="one in so many enters the next rung, of so many steps (3)")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once (1)")
    parser.add_argument("--latency-only", action="store_true", help="rank by latency and stop")
    parser.add_argument("--out", type=Path, default=Path("runs/search"), help="folder (runs/search)")
    options.add(parser)
    args = parser.parse_args()
    wrong = [name for name in ("steps", "rungs", "jobs") if getattr(args, name) < 1]
    if wrong or args.keep < 2 or args.runs < 10 or args.max_ms <= 0 or args.size < 16 or args.size % 16:
        raise UsageError(
            "an option is out of range",
            allowed="--steps, --rungs, --jobs 1; --keep 2; --runs 10 or more; --max-ms > 0; --size a multiple of 16",
        )
    return args


def main() -> int:
    """Parse, then import what is heavy."""
    args = parsed()
    place = options.place_of(args)
    stems, widths, levels, merges = (
        numbers(args.stems, "--stems", 1),
        numbers(args.widths, "--widths", 1),
        numbers(args.levels, "--levels", 2),
        numbers(args.merges, "--merges", 1),
    )

    import torch

    from acwskd_edge.data import open_data
    from acwskd_edge.files import only_writer
    from benchmarks.emitted import kinds_of
    from benchmarks.latencies import Question
    from train.__main__ import parse_set
    from train.recipe import load_recipe

    torch.set_num_threads(1)
    kinds = kinds_of(args.runtimes)
    candidates = space(stems, widths, levels, merges, args.size)
    data = open_data(args.data)
    fields = {"data": args.data, **dict(parse_set(text) for text in args.set)}
    load_recipe(args.recipe, {**fields, "size": args.size, "steps": args.steps})  # a mistake shows now, not in an hour
    question = Question(args.size, data.channels, len(data.labels), kinds, args.runs, place, args.out)
    budget = (args.steps, args.rungs, args.keep, args.jobs)
    settings = Settings(question, args.max_ms, args.recipe, fields, *budget)
    with only_writer(args.out):
        search(candidates, settings, latency_only=args.latency_only)
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
