"""Loss and Dice curves."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from acwskd_edge.files import write_atomic

NOT_TERMS = {"step", "lr", "seconds", "loss", "temperature"}


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """Left: the loss's terms; right: validation Dice per class and its mean. PNG."""
    from matplotlib.figure import Figure

    steps = [one for one in history if "loss" in one]
    checks = [one for one in history if "val_dice" in one]
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in [key for key in steps[0] if key not in NOT_TERMS] if steps else []:
        left.plot([one["step"] for one in steps], [one[name] for one in steps], label=name, linewidth=1)
    left.set(xlabel="step", ylabel="loss term (unweighted)", yscale="log")
    left.legend(fontsize=8)
    for name in [key for key in checks[0] if key.startswith("val_dice/")] if checks else []:
        values = [float("nan") if one[name] is None else one[name] for one in checks]
        right.plot([one["step"] for one in checks], values, linewidth=0.8, label=name.removeprefix("val_dice/"))
    right.plot([one["step"] for one in checks], [one["val_dice"] for one in checks], "k.-", linewidth=2, label="mean")
    right.set(xlabel="step", ylabel="validation Dice", ylim=(0, 1))
    right.legend(fontsize=8, ncols=2)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_atomic(path, picture.getvalue())
