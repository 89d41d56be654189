"""Deep supervision: plain training with an auxiliary head. The control of every objective that has one."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from acwskd_edge.distill.base import Objective, weigh
from acwskd_edge.distill.losses import fraction_loss, label_fractions, segmentation_loss
from acwskd_edge.models.taps import Tapped, middle_of, resize


@dataclass
class DeepSupervisionSettings:
    """The weight of the auxiliary head."""

    aux: float = 0.4  # L_seg of the auxiliary head, PSPNet's and OCR's weight; ACW-SKD's default
    full: bool = False  # its loss on the image's grid, as published; else on its own grid, as in ACW-SKD, far cheaper


class DeepSupervision(Objective):
    """L = L_seg(z) + aux L_seg(z_a), z_a of a 1x1 head on the middle decoder feature, as in ACW-SKD.

    Lee et al., Deeply-supervised nets, AISTATS 2015; weight of Zhao et al., PSPNet, CVPR 2017.
    """

    def __init__(self, network: Tapped, classes: int, settings: DeepSupervisionSettings) -> None:
        super().__init__()
        self.settings = settings
        every = network.feature_channels
        self.aux_head = nn.Conv2d(every[middle_of(len(every))], classes, 1)

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        taps = network.taps(images)
        coarse = self.aux_head(taps.middle)
        if self.settings.full:
            aux = segmentation_loss(resize(coarse, images), labels)
        else:
            aux = fraction_loss(coarse, label_fractions(labels, coarse.shape[1], coarse))
        return weigh({"seg": segmentation_loss(taps.logits, labels), "aux": aux}, aux=self.settings.aux)
