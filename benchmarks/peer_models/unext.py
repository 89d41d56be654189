"""UNeXt-S: our implementation from the paper's description.

Valanarasu and Patel, "UNeXt: MLP-based Rapid Medical Image Segmentation Network", MICCAI 2022, arXiv 2203.04967,
section 2 (convolutional stage, shifted MLP, tokenized MLP stage). Three convolutional stages and two of tokenized MLPs,
an encoder and a decoder joined by addition. Tokens stay an image (B, C, H, W): the embedding's linear layers are 1x1
convolutions, which are the same numbers. Stochastic depth is left out, as in inference.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer_models.norms import ChannelNorm

SMALL = (8, 16, 32, 64, 128)  # channels of the small variant; (16, 32, 128, 160, 256) is the paper's full one
SHIFTS = (-2, -1, 0, 1, 2)  # one per group of channels: a window of five


def shift(x: Tensor, dim: int) -> Tensor:
    """Five groups of channels, each moved by its own number of pixels along an axis (2 or 3), zeros coming in."""
    reach = max(SHIFTS)
    padded = F.pad(x, (reach, reach, 0, 0) if dim == 3 else (0, 0, reach, reach))
    groups = zip(padded.chunk(len(SHIFTS), 1), SHIFTS, strict=True)
    return torch.cat([group.narrow(dim, reach - step, x.shape[dim]) for group, step in groups], 1)


class TokenizedMLP(nn.Module):
    """Shift across the width, linear, depthwise 3x3, GELU, shift across the height, linear; added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.across_width = nn.Conv2d(channels, channels, 1)
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.across_height = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> same shape."""
        y = F.gelu(self.position(self.across_width(shift(self.norm(x), 3))))
        return x + self.across_height(shift(y, 2))


class UNeXt(nn.Module):
    """(B, C, H, W) -> logits (B, K, H, W); sides divisible by 32."""

    def __init__(self, channels: int, classes: int, widths: tuple[int, int, int, int, int]) -> None:
        super().__init__()
        pairs = list(zip((channels, *widths), widths, strict=False))
        self.encode = nn.ModuleList(
            nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.MaxPool2d(2), nn.ReLU())
            for cin, cout in pairs[:3]
        )
        self.embed = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(cin, cout, 3, stride=2, padding=1), ChannelNorm(cout), TokenizedMLP(cout), ChannelNorm(cout)
            )
            for cin, cout in pairs[3:]
        )
        upwards = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (128, 64) ... (16, 8)
        self.decode = nn.ModuleList(
            nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout)) for cin, cout in upwards
        )
        self.mix = nn.ModuleList(
            nn.Sequential(TokenizedMLP(cout), ChannelNorm(cout)) if i < 2 else nn.Identity()
            for i, (_, cout) in enumerate(upwards)
        )
        self.last = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K, H, W)."""
        x, skips = image, []
        for stage in (*self.encode, *self.embed):
            x = stage(x)
            skips.append(x)
        for up, mix, skip in zip(self.decode, self.mix, skips[-2::-1], strict=True):
            x = mix(F.relu(doubled(up(x))) + skip)
        return self.head(F.relu(doubled(self.last(x))))


def doubled(x: Tensor) -> Tensor:
    """Bilinear x2, half-pixel centres."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def unext_s(channels: int, classes: int) -> UNeXt:
    """The small variant: .254 M parameters, .099 GMACs at 3x256x256 and one class."""
    return UNeXt(channels, classes, SMALL)
