"""FRSKD: a self-teacher refines the network's features and teaches them back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acwskd_edge.distill.base import Objective, several_features, weigh
from acwskd_edge.distill.losses import attention, distill, segmentation_loss
from acwskd_edge.models.taps import Tapped, middle_of, resize


@dataclass
class FrskdSettings:
    """The repository's values for segmentation."""

    alpha: float = 1.0  # weight of KL(self-teacher || student)
    beta: float = 50.0  # weight of the distance of the attention maps
    temperature: float = 1.0
    start: float = 2 / 3  # share of training before both begin; then they grow as exp(-5 (1 - t)^2): 40 of 60 epochs


class Frskd(Objective):
    """L = L_seg(z) + L_seg(z') + r (alpha T^2 KL(sg z' || z) + beta sum mean (Q(F_i) - Q(sg F'_i))^2).

    Ji et al., Refine myself by teaching myself, CVPR 2021; MingiJi/FRSKD. Q is the normalised channel mean of F^2.
    The decoder's features stand for the repository's first BiFPN; the self-teacher on them is, as there, a BiFPN and
    a last top-down pass, with 3x3 separable convolutions (the paper's, instead of 1x1), at the channels of the middle
    decoder feature; z' is a 1x1 head on its finest output.
    """

    def __init__(self, network: Tapped, classes: int, settings: FrskdSettings) -> None:
        super().__init__()
        self.settings = settings
        every = several_features(network, "frskd")
        width = every[middle_of(len(every))]
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in every)
        self.first_down, self.last_down = (nn.ModuleList(separable(width) for _ in every) for _ in range(2))
        self.up = nn.ModuleList(separable(width) for _ in every[1:])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        use = self.settings
        taps = network.taps(images)
        refined = self.refine(taps.features)
        logits = resize(self.head(refined[-1]), images)
        gaps = [attention_gap(ours, theirs) for ours, theirs in zip(taps.features, refined, strict=True)]
        terms = {
            "seg": segmentation_loss(taps.logits, labels),
            "teacher": segmentation_loss(logits, labels),
            "kd": distill(taps.logits, logits, use.temperature),
            "attention": torch.stack(gaps).sum(),
        }
        ramp = late_rise(progress, use.start)
        return weigh(terms, kd=ramp * use.alpha, attention=ramp * use.beta)

    def refine(self, features: list[Tensor]) -> list[Tensor]:
        """The self-teacher: features, deepest first -> as many on the same grids."""
        level = [project(feature) for project, feature in zip(self.lateral, features, strict=True)]
        down = top_down(level, self.first_down)
        up = down[-1:]
        for i in reversed(range(len(self.up))):
            finer = F.interpolate(up[0], size=(level[i].shape[-2], level[i].shape[-1]))
            up.insert(0, self.up[i](level[i] + down[i] + finer))
        return top_down(up, self.last_down)


def top_down(level: list[Tensor], blocks: nn.ModuleList) -> list[Tensor]:
    """From the deepest level on, each gets what the one before it became."""
    done: list[Tensor] = []
    for feature, block in zip(level, blocks, strict=True):
        done.append(block(feature + resize(done[-1], feature) if done else feature))
    return done


def separable(width: int) -> nn.Sequential:
    """Depthwise 3x3 and 1x1 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def attention_gap(student: Tensor, target: Tensor) -> Tensor:
    """Mean over images and places of (Q(student) - Q(target))^2; no gradient into `target`."""
    return F.mse_loss(attention(student, 2), attention(target.detach(), 2))


def late_rise(progress: float, start: float) -> float:
    """0 before `start`, then exp(-5 (1 - t)^2) with t from 0 there to 1 at the end of training."""
    if progress < start or start >= 1:
        return 0.0
    return math.exp(-5 * (1 - (progress - start) / (1 - start)) ** 2)
