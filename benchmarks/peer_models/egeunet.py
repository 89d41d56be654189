"""EGE-UNet: our implementation from the paper's description.

Ruan et al., "EGE-UNet: an Efficient Group Enhanced UNet for skin lesion segmentation", MICCAI 2023, arXiv 2307.08473,
section 2 (group multi-axis Hadamard product attention, GHPA; group aggregation bridge, GAB). Three plain stages and
three of GHPA; every skip passes a GAB, which reads the stage, the one above it and a mask predicted there.

Differences: bilinear resizing at half-pixel centres throughout; no deep supervision of the predicted masks, because one
recipe trains all networks (they learn through the bridges), and one mask whatever the number of classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer_models.norms import ChannelNorm, GroupNorm

WIDTHS = (8, 16, 24, 32, 48, 64)
GROUPS = 4
SIDE = 8  # of the learned tensors of an attention
DILATIONS = (1, 2, 5, 7)  # of a bridge, one per group


class HadamardAttention(nn.Module):
    """GHPA: channels in four groups; three are multiplied by a learned map over two axes, one is convolved.

    A map over (channels, height) is the same in every column, so it is kept as (1, C, H, 1); likewise over the width.
    """

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        part = cin // GROUPS
        shapes = ((part, SIDE, SIDE), (part, SIDE, 1), (part, 1, SIDE))
        self.maps = nn.ParameterList(nn.Parameter(torch.ones(1, *shape)) for shape in shapes)
        self.refine = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(part, part, kernel, padding=(kernel[0] // 2, kernel[1] // 2), groups=part),
                nn.GELU(),
                nn.Conv2d(part, part, 1),
            )
            for kernel in ((3, 3), (3, 1), (1, 3))
        )
        self.plain = nn.Sequential(
            nn.Conv2d(part, part, 1), nn.GELU(), nn.Conv2d(part, part, 3, padding=1, groups=part)
        )
        self.before, self.after = ChannelNorm(cin), ChannelNorm(cin)
        self.mix = nn.Sequential(nn.Conv2d(cin, cin, 3, padding=1, groups=cin), nn.GELU(), nn.Conv2d(cin, cout, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W)."""
        height, width = x.shape[-2:]
        *three, fourth = self.before(x).chunk(GROUPS, 1)
        parts = []
        for part, learned, refine in zip(three, self.maps, self.refine, strict=True):
            size = (height if learned.shape[-2] > 1 else 1, width if learned.shape[-1] > 1 else 1)
            parts.append(part * refine(F.interpolate(learned, size=size, mode="bilinear", align_corners=False)))
        return self.mix(self.after(torch.cat([*parts, self.plain(fourth)], 1)))


class AggregationBridge(nn.Module):
    """GAB: skip, deeper feature and mask, in four groups of growing dilation."""

    def __init__(self, deep: int, skip: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(deep, skip, 1)
        part = skip // 2 + 1  # a quarter of either feature, and the mask
        self.groups = nn.ModuleList(
            nn.Sequential(ChannelNorm(part), nn.Conv2d(part, part, 3, padding=rate, dilation=rate, groups=part))
            for rate in DILATIONS
        )
        self.tail = nn.Sequential(ChannelNorm(GROUPS * part), nn.Conv2d(GROUPS * part, skip, 1))

    def forward(self, deep: Tensor, skip: Tensor, mask: Tensor) -> Tensor:
        """Deep (B, C', H / 2, W / 2) or (B, C', H, W), skip (B, C, H, W), mask (B, 1, H, W) -> (B, C, H, W)."""
        deep = F.interpolate(self.project(deep), size=skip.shape[-2:], mode="bilinear", align_corners=False)
        pairs = zip(self.groups, deep.chunk(GROUPS, 1), skip.chunk(GROUPS, 1), strict=True)
        return self.tail(torch.cat([group(torch.cat([high, low, mask], 1)) for group, high, low in pairs], 1))


def stage(cin: int, cout: int, *, attention: bool) -> nn.Module:
    """Plain 3x3 convolution or GHPA."""
    return HadamardAttention(cin, cout) if attention else nn.Conv2d(cin, cout, 3, padding=1)


class EGEUNet(nn.Module):
    """(B, C, H, W) -> logits (B, K, H, W); sides divisible by 32."""

    def __init__(self, channels: int, classes: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.encode = nn.ModuleList(
            stage(cin, cout, attention=i > 2)
            for i, (cin, cout) in enumerate(zip((channels, *widths), widths, strict=False))
        )
        self.encode_norm = nn.ModuleList(GroupNorm(GROUPS, width) for width in widths[:-1])
        upwards = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (64, 48) ... (16, 8)
        self.decode = nn.ModuleList(stage(cin, cout, attention=i < 3) for i, (cin, cout) in enumerate(upwards))
        self.decode_norm = nn.ModuleList(GroupNorm(GROUPS, cout) for _, cout in upwards)
        self.mask = nn.ModuleList(nn.Conv2d(cout, 1, 1) for _, cout in upwards)
        self.bridge = nn.ModuleList(AggregationBridge(deep, skip) for deep, skip in upwards)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K, H, W)."""
        x, skips = image, []
        for layer, norm in zip(self.encode, self.encode_norm, strict=False):
            x = F.gelu(F.max_pool2d(norm(layer(x)), 2))
            skips.append(x)
        x = F.gelu(self.encode[-1](x))
        deep = x
        rows = zip(self.decode, self.decode_norm, self.mask, self.bridge, reversed(skips), strict=True)
        for i, (layer, norm, mask, bridge, skip) in enumerate(rows):
            x = norm(layer(x))
            x = F.gelu(doubled(x) if i else x)  # the deepest stage keeps its grid
            x = x + bridge(deep, skip, mask(x))
            deep = skip
        return doubled(self.head(x))


def doubled(x: Tensor) -> Tensor:
    """Bilinear x2, half-pixel centres."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def ege_unet(channels: int, classes: int) -> EGEUNet:
    """.053 M parameters, .072 GMACs at 3x256x256 and one class."""
    return EGEUNet(channels, classes)
