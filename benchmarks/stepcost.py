"""`python -m benchmarks.stepcost`: what a training step costs with each objective, paired with the plain step."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import exit_with

EXAMPLES = """
python -m benchmarks.stepcost --models s2d16,unet8 --size 128 -o benchmarks/results/stepcost.json
"""
CLASSES, BATCH, WARM_UP = 11, 8, 3


def seconds_of(model: str, size: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of forward and backward, one thread, bf16 autocast; objectives take turns in every round."""
    import torch

    from acwskd_edge.distill import OBJECTIVES, build_objective
    from acwskd_edge.models import build_model

    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.randn(BATCH, 1, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (BATCH, size, size))
    subjects = {}
    for name in OBJECTIVES:
        network = build_model(model, 1, CLASSES).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        subjects[name] = (network, build_objective(name, {}, network, CLASSES))
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for index in range(WARM_UP + rounds):
        for name, (network, objective) in subjects.items():
            started = time.process_time()
            with torch.autocast("cpu", torch.bfloat16):
                loss, _ = objective(network, images, labels, 0.5)
            loss.backward()
            if index >= WARM_UP:
                seconds[name].append(time.process_time() - started)
    return seconds


def main() -> int:
    """Parse, measure, print and write."""
    parser = Parser("python -m benchmarks.stepcost", __doc__ or "", EXAMPLES)
    parser.add_argument("--models", default="s2d16,unet8", help="comma-separated (s2d16,unet8)")
    parser.add_argument("--size", type=int, default=128, help="side of the input, pixels (128)")
    parser.add_argument("--rounds", type=int, default=20, help="timed steps of every objective (20)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()

    from acwskd_edge.files import write_json
    from convert.machine import machine

    rows: list[dict[str, Any]] = []
    for model in args.models.split(","):
        seconds = seconds_of(model, args.size, args.rounds)
        for name, values in seconds.items():
            ratios = [ours / plain for ours, plain in zip(values, seconds["plain"], strict=True)]
            low, _, high = quantiles(ratios, n=4)
            row = {
                "model": model,
                "objective": name,
                "median_cpu_s": round(median(values), 4),
                "ratio_to_plain": round(median(ratios), 3),
                "ratio_quartiles": [round(low, 3), round(high, 3)],
            }
            rows.append(row)
            print(f"{model:<8}{name:<10}{row['median_cpu_s']:>8.4f} s  {row['ratio_to_plain']:.2f} x the plain step")
    settings = {"size": args.size, "batch": BATCH, "classes": CLASSES, "threads": 1, "rounds": args.rounds}
    write_json(args.output, {"settings": settings, "machine": machine(), "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
