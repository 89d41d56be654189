"""The picture of a run: losses, Dice, and what the objective says of its temperature and features."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acwskd_edge.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOT_TERMS = {"step", "lr", "seconds", "peak_mb", "loss", "grad_norm"}
SCHEDULES = ("temperature", "reversal", "alpha")  # terms that are no losses
SMOOTH = 0.9  # share of the past in the running mean of a loss


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """Loss terms, validation Dice per class, schedules and feature health against steps, as PNG; none is left blank."""
    from matplotlib.figure import Figure

    trained = [one for one in history if "loss" in one]
    checks = [one for one in history if "val_dice" in one]
    names = list(dict.fromkeys(name for one in trained for name in one if name not in NOT_TERMS))
    terms = [name for name in names if name not in SCHEDULES and not name.startswith("health/")]
    both = [name for name in names if name.startswith("health/dice")]
    extra = {
        "temperature, schedules": [name for name in names if name in SCHEDULES],
        "training Dice": both,
        "feature health": [name for name in names if name.startswith("health/") and name not in both],
    }
    below = [(label, group) for label, group in extra.items() if group]
    figure = Figure(figsize=(14, 8 if below else 4.4), layout="constrained")
    upper, *lower = figure.subfigures(2 if below else 1, 1, squeeze=False)[:, 0]
    losses, dice = upper.subplots(1, 2)
    draw(losses, trained, terms, smooth=True)
    losses.set(ylabel="loss term (unweighted, running mean)", yscale="log")
    draw(dice, checks, dict.fromkeys(name for one in checks for name in one if name.startswith("val_dice/")))
    if checks:
        dice.plot([one["step"] for one in checks], [one["val_dice"] for one in checks], "k.-", lw=2, label="mean")
    dice.set(ylabel="validation Dice", ylim=(0, 1))
    panels = lower[0].subplots(1, len(below), squeeze=False)[0] if below else []
    for panel, (label, group) in zip(panels, below, strict=True):
        draw(panel, trained, group, smooth=group is both)
        panel.set(ylabel=label, yscale="log" if label == "feature health" else "linear")
    for panel in figure.axes:
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
        if panel.lines:  # beside the panel: with fourteen classes it would cover the curves
            panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    write_atomic(path, png(figure))


def png(figure: Figure) -> bytes:
    """A figure's picture."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def draw(panel: Axes, records: list[dict[str, Any]], names: Iterable[str], smooth: bool = False) -> None:
    """One line per name, over the records that have it; a name's folder is left out of its label."""
    import matplotlib

    pairs = matplotlib.colormaps["tab20"]  # ten colours, each with a light one
    for index, name in enumerate(names):
        having = [one for one in records if one.get(name) is not None]
        values = [float(one[name]) for one in having]
        label = name.partition("/")[2] or name
        panel.plot(
            [one["step"] for one in having],
            running_mean(values) if smooth else values,
            lw=1.2,
            label=label,
            color=pairs(2 * index % 20 + index // 10 % 2),
        )


def running_mean(values: list[float]) -> list[float]:
    """Exponential, without the bias towards the first value."""
    result, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = SMOOTH * total + (1 - SMOOTH) * value, SMOOTH * weight + (1 - SMOOTH)
        result.append(total / weight)
    return result
