"""CMUNeXt-S: our implementation from the paper's description.

Tang et al., "CMUNeXt: An Efficient Medical Image Segmentation Network based on Large Kernel and Skip Fusion", ISBI
2024, arXiv 2308.01239, section 2 (CMUNeXt block, skip-fusion block) and table 1 (variants). Encoder of large depthwise
kernels and inverted bottlenecks; decoder of bilinear upsampling and a fusion of grouped convolution and bottleneck. The
text does not fix the fusion's width: 4 times its output, with which the published parameter count is met.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (8, 16, 32, 64, 128)
KERNELS = (3, 3, 7, 7, 9)  # depthwise, one block a stage in the small variant
EXPANSION = 4


class LargeKernelBlock(nn.Module):
    """Depthwise kernel with a residual connection, then an inverted bottleneck; GELU and batch norm after each."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.spatial = activated(nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels))
        self.bottleneck = bottleneck(channels, EXPANSION * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> same shape."""
        return self.bottleneck(x + self.spatial(x))


def activated(conv: nn.Conv2d) -> nn.Sequential:
    """Convolution, GELU, batch norm."""
    return nn.Sequential(conv, nn.GELU(), nn.BatchNorm2d(conv.out_channels))


def bottleneck(cin: int, hidden: int, cout: int) -> nn.Sequential:
    """Pointwise to more channels and back."""
    return nn.Sequential(activated(nn.Conv2d(cin, hidden, 1)), activated(nn.Conv2d(hidden, cout, 1)))


def conv_block(cin: int, cout: int) -> nn.Sequential:
    """Conv3x3 - BN - ReLU."""
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU())


def skip_fusion(channels: int) -> nn.Sequential:
    """Skip and decoder feature, one group each, then mixed: 2C -> C channels."""
    grouped = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2)
    return nn.Sequential(activated(grouped), bottleneck(2 * channels, EXPANSION * channels, channels))


class CMUNeXt(nn.Module):
    """(B, C, H, W) -> logits (B, K, H, W); sides divisible by 16."""

    def __init__(self, channels: int, classes: int, widths: tuple[int, ...], kernels: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = conv_block(channels, widths[0])
        self.encode = nn.ModuleList(
            nn.Sequential(LargeKernelBlock(cin, kernel), conv_block(cin, cout))
            for cin, cout, kernel in zip((widths[0], *widths), widths, kernels, strict=False)
        )
        self.up = nn.ModuleList(conv_block(cin, cout) for cin, cout in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.fuse = nn.ModuleList(skip_fusion(width) for width in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K, H, W)."""
        x, skips = self.stem(image), []
        for i, stage in enumerate(self.encode):
            x = stage(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for up, fuse, skip in zip(self.up, self.fuse, skips[-2::-1], strict=True):
            fine = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = fuse(torch.cat([skip, up(fine)], 1))
        return self.head(x)


def cmunext_s(channels: int, classes: int) -> CMUNeXt:
    """The small variant: .418 M parameters, 1.01 GMACs at 3x256x256 and one class."""
    return CMUNeXt(channels, classes, WIDTHS, KERNELS)
