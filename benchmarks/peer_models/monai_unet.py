"""MONAI's BasicUNet (Falk et al. 2019), from the installed package, with batch norm for instance norm.

Instance norm cannot be folded into the convolutions, and neither TFLite nor ONNX fp16 takes it (docs/your-network.md).
"""

from __future__ import annotations

import warnings

from torch import nn

from acwskd_edge.errors import MissingDependency


def basic_unet(channels: int, classes: int) -> nn.Module:
    """MONAI's default widths (32, 32, 64, 128, 256, 32) and activation; 2-D.

    Raises:
        MissingDependency: MONAI is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MONAI's own imports
            from monai.networks.nets.basic_unet import BasicUNet
    except ImportError as error:
        raise MissingDependency("MONAI is not installed", hint="pip install monai") from error
    return BasicUNet(2, channels, classes, norm="batch")
