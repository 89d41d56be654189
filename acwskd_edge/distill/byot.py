"""BYOT: the network's last head teaches heads on its earlier features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from acwskd_edge.distill.base import Objective, several_features, weigh
from acwskd_edge.distill.losses import distill, segmentation_loss
from acwskd_edge.models.taps import Tapped, resize


@dataclass
class ByotSettings:
    """The repository's values."""

    alpha: float = 0.1  # share of the distillation of logits against the segmentation losses
    beta: float = 1e-6  # weight of the features' squared distance, a sum over the batch, channels and places
    temperature: float = 3.0


class Byot(Objective):
    """L = (1 - alpha) (L_seg(z) + sum L_seg(z_i)) + alpha sum T^2 KL(sg z || z_i) + beta sum (f_i - sg F)^2.

    Zhang et al., Be your own teacher, ICCV 2019; luanyunteng/pytorch-be-your-own-teacher. Every decoder feature but
    the last gets a branch to the last one's channels and a 1x1 head: f_i on the grid of the penultimate feature F,
    logits z_i on the image's. The branch is 1x1 - 3x3 - 1x1 without the repository's bottleneck, because a decoder's
    last feature is its narrowest. The repository's soft cross entropy is KL here: the same gradient, 0 at agreement.
    """

    def __init__(self, network: Tapped, classes: int, settings: ByotSettings) -> None:
        super().__init__()
        self.settings = settings
        *shallow, last = several_features(network, "byot")
        self.branches = nn.ModuleList(branch(channels, last) for channels in shallow)
        self.heads = nn.ModuleList(nn.Conv2d(last, classes, 1) for _ in shallow)

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`; the terms of the shallow heads are sums over them."""
        use = self.settings
        taps = network.taps(images)
        shallow, kd, feature = [], [], []
        for grow, head, early in zip(self.branches, self.heads, taps.features[:-1], strict=True):
            grown = resize(grow(early), taps.penultimate)
            logits = resize(head(grown), images)
            shallow.append(segmentation_loss(logits, labels))
            kd.append(distill(logits, taps.logits, use.temperature))
            feature.append(feature_distance(grown, taps.penultimate))
        terms = {
            "seg": segmentation_loss(taps.logits, labels),
            "shallow": torch.stack(shallow).sum(),
            "kd": torch.stack(kd).sum(),
            "feature": torch.stack(feature).sum(),
        }
        return weigh(terms, seg=1 - use.alpha, shallow=1 - use.alpha, kd=use.alpha, feature=use.beta)


def branch(cin: int, cout: int) -> nn.Sequential:
    """1x1, 3x3, 1x1 convolution, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for source, kernel in ((cin, 1), (cout, 3), (cout, 1)):
        layers += [nn.Conv2d(source, cout, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU()]
    return nn.Sequential(*layers)


def feature_distance(student: Tensor, target: Tensor) -> Tensor:
    """Sum of (student - target)^2 where either is positive; no gradient into `target`; equal shapes."""
    ours, theirs = student.float(), target.detach().float()
    return ((ours - theirs).square() * ((ours > 0) | (theirs > 0))).sum()
