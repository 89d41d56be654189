"""MGD: the student's masked feature has to generate the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from acwskd_edge.distill.base import weigh
from acwskd_edge.distill.losses import segmentation_loss
from acwskd_edge.distill.teacher import Offline, OfflineSettings
from acwskd_edge.models.taps import Tapped, resize


@dataclass
class MgdSettings(OfflineSettings):
    """The paper's values for segmentation."""

    mgd: float = 2e-5  # weight; the term is a sum over channels and places
    masked: float = 0.75  # share of the places hidden from the generation block


class Mgd(Offline):
    """L = L_seg(z) + mgd sum (F_t - G(m align(F)))^2 / B, G = Conv3 - ReLU - Conv3, align = Conv1, m a random mask.

    Yang et al., Masked generative distillation, ECCV 2022; yzd-v/MGD. F is the penultimate feature; the teacher's is
    resized to the student's grid.
    """

    settings: MgdSettings

    def __init__(self, network: Tapped, classes: int, settings: MgdSettings, teacher: Tapped) -> None:
        super().__init__(network, classes, settings, teacher)
        ours, theirs = network.feature_channels[-1], teacher.feature_channels[-1]
        self.align: nn.Module = nn.Identity() if ours == theirs else nn.Conv2d(ours, theirs, 1)
        self.generation = nn.Sequential(
            nn.Conv2d(theirs, theirs, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(theirs, theirs, 3, padding=1)
        )

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        taps = network.taps(images)
        feature = self.align(taps.penultimate)
        target = resize(self.ask(images).penultimate, feature).float()
        seen = torch.rand_like(feature[:, :1], dtype=torch.float32) >= self.settings.masked
        gap = self.generation(feature * seen).float() - target
        terms = {"seg": segmentation_loss(taps.logits, labels), "mgd": gap.square().sum() / len(images)}
        return weigh(terms, mgd=self.settings.mgd)
