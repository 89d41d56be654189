"""`python -m benchmarks.stepcost`: time and memory of a training step with each objective, paired with plain."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = """
python -m benchmarks.stepcost --models s2d16,unet8,unet16 --sizes 128,224 -o benchmarks/results/stepcost.json
"""
CLASSES, BATCH, WARM_UP, MEMORY_STEPS = 11, 8, 3, 4


def objectives() -> list[str]:
    """All that need no teacher: with one, a step costs a teacher's forward pass more."""
    from acwskd_edge.distill import OBJECTIVES
    from acwskd_edge.distill.teacher import Offline

    return [name for name, (kind, _) in OBJECTIVES.items() if not issubclass(kind, Offline)]


def step_of(model: str, objective_name: str, size: int) -> Callable[[], None]:
    """A training step on noise: bf16 autocast forward, backward, AdamW, at the end of every ramp."""
    import torch

    from acwskd_edge.bench.conditions import keep_freed_memory
    from acwskd_edge.distill import build_objective
    from acwskd_edge.models import build_model

    torch.set_num_threads(1)
    keep_freed_memory()  # as a training does
    torch.manual_seed(0)
    images = torch.randn(BATCH, 1, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (BATCH, size, size))
    network = build_model(model, 1, CLASSES).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = build_objective(objective_name, {}, network, CLASSES)
    optimizer = torch.optim.AdamW([*network.parameters(), *objective.parameters()])

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = objective(network, images, labels, 1.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def seconds_of(model: str, names: list[str], size: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of a step, one thread; objectives take turns in every round."""
    steps = {name: step_of(model, name, size) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for index in range(WARM_UP + rounds):
        for name, step in steps.items():
            started = time.process_time()
            step()
            if index >= WARM_UP:
                seconds[name].append(time.process_time() - started)
    return seconds


def memory_of(model: str, name: str, size: int) -> float:
    """MB by which a few steps raise this process's peak resident memory; call it in a fresh process."""
    step = step_of(model, name, size)
    before = peak_kb()
    for _ in range(MEMORY_STEPS):
        step()
    return (peak_kb() - before) / 1024


def peak_kb() -> int:
    """Peak resident memory since this program started; getrusage would count the process that started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def in_fresh_process(model: str, name: str, size: int) -> float:
    """`memory_of` where nothing ran before."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(memory_of, model, name, size).result()


def rows_of(model: str, names: list[str], size: int, rounds: int) -> list[dict[str, Any]]:
    """One row an objective; the first is what the ratios are to."""
    seconds = seconds_of(model, names, size, rounds)
    memory = {name: in_fresh_process(model, name, size) for name in names}
    rows = []
    for name, values in seconds.items():
        ratios = [ours / plain for ours, plain in zip(values, seconds[names[0]], strict=True)]
        low, _, high = quantiles(ratios, n=4)
        row = {
            "model": model,
            "size": size,
            "objective": name,
            "median_cpu_s": round(median(values), 4),
            "ratio_to_plain": round(median(ratios), 3),
            "ratio_quartiles": [round(low, 3), round(high, 3)],
            "step_mb": round(memory[name], 1),
            "memory_ratio_to_plain": round(memory[name] / memory[names[0]], 3),
        }
        rows.append(row)
        print(
            f"{model:<12}{size:<5}{name:<18}{row['median_cpu_s']:>8.4f} s {row['ratio_to_plain']:>5.2f} x plain"
            f"{row['step_mb']:>9.1f} MB {row['memory_ratio_to_plain']:>5.2f} x plain"
        )
    return rows


def main() -> int:
    """Parse, measure, print and write."""
    parser = Parser("python -m benchmarks.stepcost", __doc__ or "", EXAMPLES)
    parser.add_argument("--models", default="s2d16,unet8", help="comma-separated (s2d16,unet8)")
    parser.add_argument("--sizes", default="128", help="sides of the input in pixels, comma-separated (128)")
    parser.add_argument("--objectives", help="comma-separated, besides plain (all that need no teacher)")
    parser.add_argument("--rounds", type=int, default=20, help="timed steps of every objective (20)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()

    from acwskd_edge.files import write_json
    from acwskd_edge.machine import machine

    known = objectives()
    wanted = args.objectives.split(",") if args.objectives else known
    if unknown := sorted(set(wanted) - set(known)):
        raise UsageError(f"unknown objective {', '.join(unknown)}", allowed=", ".join(known))
    names = ["plain", *(name for name in wanted if name != "plain")]
    rows = [
        row
        for size in args.sizes.split(",")
        for model in args.models.split(",")
        for row in rows_of(model, names, int(size), args.rounds)
    ]
    settings = {"batch": BATCH, "classes": CLASSES, "threads": 1, "rounds": args.rounds, "precision": "bf16"}
    write_json(args.output, {"settings": settings, "machine": machine(), "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
