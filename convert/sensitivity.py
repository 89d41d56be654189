"""Which layers int8 hurts: one layer at a time is quantised, the others stay float, and the artefact is executed.

One alone in int8, and not all but one: a tensor whose range int8 cannot hold is broken by the layer that writes it and
by every layer that reads it, so sparing a single one of them changes nothing, while quantising any of them shows.

Measured on slices of the training split, so that the gate's cases decide nothing but the verdict. The order follows
the loss of the checkpoint's own mask in the class that suffers most: it cannot cancel out as a change of Dice against
the truth can, so a few slices tell layers apart. The change of Dice against the truth stands beside it.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from acwskd_edge import runtimes
from acwskd_edge.contract import Contract
from acwskd_edge.evaluate import segment_with
from acwskd_edge.files import write_atomic
from acwskd_edge.metrics import dice_per_class, mean_skipping_nan
from convert.calibration import TrainingSlice
from convert.export import Job
from convert.targets import Target

PICTURE = "sensitivity.png"  # in the target's folder of a bundle
FLOOR = 1e-5  # left end of the picture's logarithmic axis


@dataclass(frozen=True)
class LayerLoss:
    """What one layer alone in int8 costs."""

    layer: str
    lost: float  # 1 - Dice between the artefact's mask and the checkpoint's, of the class that loses most
    lost_class: str
    dice_change: float  # mean Dice against the truth, artefact minus checkpoint
    worst_change: float  # the same of the class that loses most
    worst_class: str

    def to_dict(self) -> dict[str, Any]:
        """For report.json."""
        return {key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(self).items()}


def measure_layers(
    target: Target, job: Job, probes: Sequence[TrainingSlice], checkpoint: runtimes.Runtime
) -> list[LayerLoss]:
    """Emit the int8 job once per layer and run each on the probes; the first and last layer are float in any case.

    Args:
        job: int8, io tensor; its folder is not written.
        checkpoint: the network itself.
    Returns:
        in the order in which the layers run.
    Raises:
        RefusedError: the layers cannot be found in the target's graph.
    """
    contract, pixels = job.contract, np.stack([one.pixels for one in probes])
    truth = np.stack([one.label for one in probes])
    expected = segment_with(checkpoint, contract, "tensor")(pixels)
    names = list(dict.fromkeys(layer.name for layer in job.layers))
    losses = []
    with tempfile.TemporaryDirectory() as folder:
        for name in tqdm(names[1:-1], f"{target.name}: layers alone in int8", leave=False, disable=None):
            place = Path(folder) / name
            place.mkdir()
            path = target.emit(replace(job, folder=place, keep=tuple(other for other in names if other != name)))
            runtime = runtimes.load(target.runtime, path, os.cpu_count() or 1)
            got = segment_with(runtime, contract, "tensor")(pixels)
            losses.append(loss_of(name, got, expected, truth, contract))
    return losses


def loss_of(
    layer: str, got: NDArray[np.uint8], expected: NDArray[np.uint8], truth: NDArray[np.uint8], contract: Contract
) -> LayerLoss:
    """Compare masks (N, h, w), all slices together as if they were one case."""
    names = [label.name for label in contract.labels[1:]]
    lost = 1 - dice_per_class(got, expected, contract.classes)
    change = dice_per_class(got, truth, contract.classes) - dice_per_class(expected, truth, contract.classes)
    most, worst = int(np.argmax(np.nan_to_num(lost))), int(np.argmin(np.nan_to_num(change)))
    return LayerLoss(
        layer,
        float(np.nan_to_num(lost)[most]),
        names[most],
        float(np.nan_to_num(mean_skipping_nan(change))),
        float(np.nan_to_num(change)[worst]),
        names[worst],
    )


def ranked(losses: Sequence[LayerLoss]) -> list[LayerLoss]:
    """Most sensitive first; of equals the one that runs first."""
    return sorted(losses, key=lambda one: -one.lost)


def table(losses: Sequence[LayerLoss]) -> str:
    """One line a layer, most sensitive first."""
    width = max(len(one.layer) for one in losses)
    lines = [f"{'layer':<{width}}  mask lost  Dice     worst class"]
    lines += [
        f"{one.layer:<{width}}  {one.lost:9.5f}  {one.dice_change:+.4f}  {one.worst_change:+.4f} {one.worst_class}"
        for one in ranked(losses)
    ]
    return "\n".join(lines)


def draw(losses: Sequence[LayerLoss], kept: Sequence[str], title: str, path: Path) -> None:
    """A bar a layer in order of execution, those kept above int8 in another colour. PNG."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(8, 1.2 + 0.24 * len(losses)), layout="constrained")
    axes = figure.subplots()
    colours = ["#d55e00" if one.layer in kept else "#0072b2" for one in losses]
    axes.barh(range(len(losses)), [max(one.lost, FLOOR) for one in losses], left=0, color=colours)
    axes.set_yticks(range(len(losses)), [one.layer for one in losses], fontsize=8)
    axes.set(xscale="log", xlim=(FLOOR, 1), title=title)
    axes.set_xlabel("share of the checkpoint's mask lost in the worst class, this layer alone in int8")
    axes.invert_yaxis()
    axes.grid(axis="x", linewidth=0.3)
    if kept:
        axes.legend(handles=[Patch(color="#d55e00", label="kept in float"), Patch(color="#0072b2", label="int8")])
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_atomic(path, picture.getvalue())
