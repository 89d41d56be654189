"""Networks as a user would bring them: `foreign_networks:basic_unet`."""

from __future__ import annotations

import warnings

from torch import nn


def basic_unet(channels: int, classes: int) -> nn.Module:
    """MONAI's BasicUNet in two dimensions, with norms that fold into the convolutions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own imports
        from monai.networks.nets import BasicUNet

    return BasicUNet(2, channels, classes, features=(8, 8, 8, 16, 16, 8), norm="batch", act="relu")


def pointwise(channels: int, classes: int) -> nn.Module:
    """The smallest that segments."""
    return nn.Conv2d(channels, classes, 1)


def halving(channels: int, classes: int) -> nn.Module:
    """Logits on a coarser grid than the contract's."""
    return nn.Conv2d(channels, classes, 2, stride=2)
