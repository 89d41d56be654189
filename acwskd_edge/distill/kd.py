"""KD: the classic distillation of logits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from acwskd_edge.distill.base import weigh
from acwskd_edge.distill.losses import distill, segmentation_loss
from acwskd_edge.distill.teacher import Offline, OfflineSettings
from acwskd_edge.models.taps import Tapped


@dataclass
class KdSettings(OfflineSettings):
    """Weight and temperature."""

    kd: float = 1.0  # weight of the distillation term
    temperature: float = 4.0


class Kd(Offline):
    """L = L_seg(z) + kd T^2 KL(softmax(z_t/T) || softmax(z/T)), per pixel, averaged.

    Hinton, Vinyals, Dean, Distilling the knowledge in a neural network, 2015; as in winycg/CIRKD losses/kd.py.
    """

    settings: KdSettings

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        logits = network(images)
        kd = distill(logits, self.ask(images).logits, self.settings.temperature)
        return weigh({"seg": segmentation_loss(logits, labels), "kd": kd}, kd=self.settings.kd)
