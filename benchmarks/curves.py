"""A sweep's pictures: learning curves, a line and a band over seeds for every method; every seed's Dice as a dot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from benchmarks.collect import Row, numbers
from benchmarks.grid import Run
from train.plots import png

Curve = tuple[list[int], NDArray[np.float64]]
"""Steps (N,) and validation Dice (seeds, N)."""


def curves_of(runs: Iterable[Run]) -> dict[str, Curve]:
    """Method -> its runs' validations, at the steps that all its seeds have reached; unfinished runs count too."""
    found: dict[str, list[dict[int, float]]] = {}
    for run in runs:
        log = run.folder / "metrics.jsonl"
        if log.exists():
            records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
            checks = {one["step"]: float(one["val_dice"]) for one in records if "val_dice" in one}
            found.setdefault(run.method, []).append(checks)
    curves = {}
    for method, seeds in found.items():
        if steps := sorted(set.intersection(*map(set, seeds))):
            curves[method] = steps, np.array([[one[step] for step in steps] for one in seeds])
    return curves


def draw(curves: dict[str, Curve], title: str) -> bytes:
    """PNG: the mean over seeds as a line, one standard deviation either side as a band; best final Dice on top."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    order = sorted(curves, key=lambda name: -curves[name][1][:, -1].mean())
    figure = Figure(figsize=(10, max(4.5, 0.24 * len(order) + 1)), layout="constrained")
    axes = figure.subplots()
    for rank, name in enumerate(order):
        steps, values = curves[name]
        middle = values.mean(axis=0)
        style = ("-", "--", ":")[rank // 10 % 3]
        color = colormaps["tab10"](rank % 10)
        label = f"{name} {middle[-1]:.4f} ({len(values)})"
        axes.plot(steps, middle, style, color=color, marker=".", linewidth=1.4, label=label)
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1)
            axes.fill_between(steps, middle - spread, middle + spread, color=color, alpha=0.12, linewidth=0)
    axes.set(xlabel="step", ylabel="validation Dice")
    figure.suptitle(f"{title}: mean ± standard deviation over seeds", fontsize=11)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8, title="method, last Dice (seeds)", title_fontsize=8)
    return png(figure)


def draw_dots(rows: Sequence[Row], title: str, plain: str) -> bytes:
    """PNG of a results file: a dot per seed, a bar at their mean, best on top; a broken line at the mean of `plain`."""
    from matplotlib.figure import Figure

    found = {row["method"]: numbers([one for one in rows if one["method"] == row["method"]], "dice") for row in rows}
    order = sorted((name for name in found if found[name]), key=lambda name: mean(found[name]))
    figure = Figure(figsize=(8, 0.27 * len(order) + 1.2), layout="constrained")
    axes = figure.subplots()
    for height, name in enumerate(order):
        axes.plot(found[name], [height] * len(found[name]), "o", color="tab:blue", alpha=0.55, markersize=5)
        axes.plot(mean(found[name]), height, "|", color="black", markersize=13, markeredgewidth=2)
    if found.get(plain):
        axes.axvline(mean(found[plain]), color="tab:orange", linestyle="--", linewidth=1.2)
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(-0.6, len(order) - 0.4)
    split = {"val": "validation", "test": "test"}[rows[0]["split"]]
    axes.set(xlabel=f"mean Dice on {split} cases")
    figure.suptitle(f"{title}: seeds, their mean, broken line: {plain}", fontsize=11)
    axes.grid(alpha=0.3)
    return png(figure)


def write_curves(runs: Iterable[Run], title: str, path: Path) -> bool:
    """Write the picture; False if nothing was validated yet."""
    from acwskd_edge.files import write_atomic

    if curves := curves_of(runs):
        write_atomic(path, draw(curves, title))
    return bool(curves)
