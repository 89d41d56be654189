"""The U-Net (Ronneberger et al. 2015, with batch norm and padding) at any width, and its space-to-depth student.

Exportable by construction: static shapes, convolution, ReLU, max pooling, transposed convolution, concatenation and,
behind a space-to-depth stem, one bilinear upsampling of the logits without align_corners. No InstanceNorm, no other op.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acwskd_edge.errors import UsageError
from acwskd_edge.models.taps import Tapped, Taps


def convolutions(cin: int, cout: int, count: int = 2) -> nn.Sequential:
    """`count` times Conv3x3 - BN - ReLU."""
    layers: list[nn.Module] = []
    for source in (cin, *[cout] * (count - 1)):
        layers += [nn.Conv2d(source, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(Tapped):
    """Encoder, decoder with skip connections, 1x1 head.

    Args:
        channels: of the input image.
        classes: K, with background.
        width: channels of the first level; doubled at each of the `levels`.
        levels: resolutions, 5 in the full net (64, 128, 256, 512, 1024).
        stem: 1, or s for a space-to-depth(s) stem: level one runs at 1/s of the resolution, the logits are upsampled.
        merge: convolutions of a decoder level, 2 in the full net.
    """

    def __init__(
        self, channels: int, classes: int, *, width: int, levels: int = 5, stem: int = 1, merge: int = 2
    ) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(levels)]
        self.stem = stem
        self.stride = stem * 2 ** (levels - 1)  # input sides must be divisible by this
        self.feature_channels = widths[-2::-1]  # of decode()'s features, deepest first
        # Space-to-depth then Conv3x3 is this one strided convolution: same weights, same MACs, one plain op.
        self.entry: nn.Module = nn.Identity()
        if stem > 1:
            self.entry = nn.Sequential(
                nn.Conv2d(channels, width, 3 * stem, stride=stem, padding=stem, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
        first = channels if stem == 1 else width
        self.down = nn.ModuleList(
            convolutions(cin, cout) for cin, cout in zip([first, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in self.feature_channels)
        self.merge = nn.ModuleList(convolutions(2 * w, w, merge) for w in self.feature_channels)
        self.head = nn.Conv2d(width, classes, 1)

    def decode(self, image: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> decoder features, deepest first; the last is the penultimate feature of the network."""
        side_h, side_w = image.shape[-2:]
        if side_h % self.stride or side_w % self.stride:
            raise UsageError(f"input {side_h}x{side_w}", allowed=f"sides divisible by {self.stride}")
        x = self.entry(image)
        skips: list[Tensor] = []
        for i, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        features = []
        for up, merge, skip in zip(self.up, self.merge, reversed(skips[:-1]), strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))
            features.append(x)
        return features

    def taps(self, image: Tensor) -> Taps:
        """See `Tapped`."""
        features = self.decode(image)
        logits = self.head(features[-1])
        if self.stem > 1:  # half-pixel centres
            logits = F.interpolate(logits, scale_factor=float(self.stem), mode="bilinear", align_corners=False)
        return Taps(logits, features)

    def coarse_logits(self, taps: Taps, feature: Tensor) -> Tensor:
        """See `Tapped`: the head of the averaged feature, which for a linear head is the same and far cheaper."""
        return self.head(feature)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K, H, W)."""
        return self.taps(image).logits
