"""DLB: the logits of the last mini-batch's network teach the repeated half of this one."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from acwskd_edge.distill.base import Objective, weigh
from acwskd_edge.distill.losses import distill, segmentation_loss
from acwskd_edge.distill.repeat import Repeat
from acwskd_edge.models.taps import Tapped


@dataclass
class DlbSettings:
    """The paper's values."""

    dlb: float = 1.0  # weight of the consistency with the last mini-batch
    temperature: float = 3.0


class Dlb(Objective):
    """L = L_seg(z) + dlb T^2 KL(softmax(z_before/T) || softmax(z/T)) on the repeated half, per pixel, averaged.

    Shen et al., Self-distillation from the last mini-batch for consistency regularization, CVPR 2022;
    Meta-knowledge-Lab/DLB. The repeated half comes with the augmentation it had, the repository draws a new one.
    """

    def __init__(self, network: Tapped, classes: int, settings: DlbSettings) -> None:
        super().__init__()
        self.settings = settings
        self.repeat = Repeat("logits")

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`; the first step has nothing to repeat."""
        batch = self.repeat(images, labels)
        logits = network(batch.images)
        dlb = images.new_zeros(())
        if batch.count:
            dlb = distill(logits[: batch.count], batch.before["logits"], self.settings.temperature)
        self.repeat.keep(batch, logits=logits)
        return weigh({"seg": segmentation_loss(logits, batch.labels), "dlb": dlb}, dlb=self.settings.dlb)
