"""The model registry: a name in a recipe -> a network."""

from __future__ import annotations

from collections.abc import Callable

from acwskd_edge.errors import UsageError
from acwskd_edge.models.unet import UNet

MODELS: dict[str, Callable[[int, int], UNet]] = {
    "unet64": lambda channels, classes: UNet(channels, classes, width=64),
    "unet16": lambda channels, classes: UNet(channels, classes, width=16),
    "unet8": lambda channels, classes: UNet(channels, classes, width=8),
    "s2d16": lambda channels, classes: UNet(channels, classes, width=16, levels=4, stem=2),
    "s2d24": lambda channels, classes: UNet(channels, classes, width=24, levels=4, stem=2),
}


def build_model(name: str, channels: int, classes: int) -> UNet:
    """A freshly initialised network.

    Raises:
        UsageError: no such model.
    """
    if name not in MODELS:
        raise UsageError(f"unknown model {name!r}", allowed=", ".join(MODELS))
    return MODELS[name](channels, classes)
