"""Plain training: the segmentation loss alone. The full U-Net baseline and the plain student use it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from acwskd_edge.distill.base import Objective
from acwskd_edge.distill.losses import segmentation_loss
from acwskd_edge.models.taps import Tapped


@dataclass
class PlainSettings:
    """Nothing to set."""


class Plain(Objective):
    """L = L_seg(z)."""

    def __init__(self, network: Tapped, classes: int, settings: PlainSettings) -> None:
        super().__init__()

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        loss = segmentation_loss(network(images), labels)
        return loss, {"seg": loss.detach()}
