"""A network that int8 breaks and float does not: one channel has a thousand times the range of its neighbours.

    python tests/convert/fragile.py RUN OUT        # then: python -m convert OUT --precision int8, and --precision auto

A batch norm's scale and shift are multiplied and the weights that read the channel divided by the same power of two.
ReLU between them lets a positive factor pass, so the network computes the same; but the tensor's one int8 scale must
now cover the large channel, and all the others fall to zero.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

FACTOR = 1024.0
BLOCK = "down.1"  # the tensor between its two convolutions


def stretch_channel(weights: dict[str, torch.Tensor], block: str = BLOCK, factor: float = FACTOR) -> None:
    """Change a network's weights in place; the channel is the one whose batch norm has the largest scale."""
    scale = weights[f"{block}.1.weight"]
    channel = int(scale.abs().argmax())
    for name in ("weight", "bias"):
        weights[f"{block}.1.{name}"][channel] *= factor
    weights[f"{block}.3.weight"][:, channel] /= factor


def fragile_run(run: Path, out: Path) -> Path:
    """Copy a finished run, without its bundle, and stretch a channel of its checkpoint."""
    shutil.copytree(run, out, ignore=shutil.ignore_patterns("bundle", "rejected", ".lock"))
    path = out / "best.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata, weights = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    stretch_channel(weights)
    save_file(weights, path, metadata)
    return out


if __name__ == "__main__":
    print(fragile_run(Path(sys.argv[1]), Path(sys.argv[2])))
