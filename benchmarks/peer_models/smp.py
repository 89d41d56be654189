"""U-Nets of segmentation-models-pytorch on mobile encoders, random weights; an optional package, see docs/peers.md.

It imports torchvision, whose compiled operators do not load beside a CPU build of PyTorch (`operator torchvision::nms
does not exist`). None of them occurs in a segmentation network, so there the two that torchvision describes while it is
imported are declared, without an implementation, and the import succeeds.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch
from torch import nn

from acwskd_edge.errors import MissingDependency

PACKAGE = "segmentation_models_pytorch"
DESCRIBED = ("nms", "qnms")  # operators that torchvision's import needs to find
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
INSTALL = (
    "pip install --no-deps --target build/peers segmentation-models-pytorch==0.6.0 timm==1.0.31 torchvision==0.28.0; "
    "PYTHONPATH=build/peers python -m benchmarks.peers"
)
_declared: list[torch.library.Library] = []  # operators live as long as their library


def package() -> Any:
    """segmentation_models_pytorch.

    Raises:
        MissingDependency: it is not installed, or does not load here.
    """
    try:
        return imported()
    except ImportError as error:
        raise MissingDependency(f"no segmentation-models-pytorch here ({error})", hint=INSTALL) from error
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [one for one in sys.modules if one.partition(".")[0] in ("torchvision", "timm", PACKAGE)]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in DESCRIBED:
        library.define(operator + SIGNATURE)  # type: ignore[no-untyped-call]
    _declared.append(library)
    return imported()


def imported() -> Any:
    """The import as it is."""
    return importlib.import_module(PACKAGE)


def unet(encoder: str, channels: int, classes: int) -> nn.Module:
    """`smp.Unet` with its own decoder."""
    return package().Unet(encoder, encoder_weights=None, in_channels=channels, classes=classes)


def mobilenet_v3_small(channels: int, classes: int) -> nn.Module:
    """MobileNetV3-Small encoder (Howard et al. 2019) by timm."""
    return unet("tu-mobilenetv3_small_100", channels, classes)


def efficientnet_lite0(channels: int, classes: int) -> nn.Module:
    """EfficientNet-Lite0 encoder (Google, 2020) by timm."""
    return unet("tu-tf_efficientnet_lite0", channels, classes)
