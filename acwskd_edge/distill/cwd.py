"""CWD: channel-wise distillation of where each class is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from acwskd_edge.distill.base import weigh
from acwskd_edge.distill.losses import segmentation_loss
from acwskd_edge.distill.teacher import Offline, OfflineSettings
from acwskd_edge.models.taps import Tapped


@dataclass
class CwdSettings(OfflineSettings):
    """Weight and temperature, the paper's for logits."""

    cwd: float = 3.0
    temperature: float = 4.0


class Cwd(Offline):
    """L = L_seg(z) + cwd T^2 / (B K) sum KL of the channels' softmax over places, teacher against student.

    Shu et al., Channel-wise knowledge distillation for dense prediction, ICCV 2021; irfanICMLL/TorchDistiller.
    """

    settings: CwdSettings

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        logits = network(images)
        cwd = channel_wise(logits, self.ask(images).logits, self.settings.temperature)
        return weigh({"seg": segmentation_loss(logits, labels), "cwd": cwd}, cwd=self.settings.cwd)


def channel_wise(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(phi(teacher/T) || phi(student/T)), phi = softmax over the places of a channel; mean over B and K.

    Args:
        student, teacher: (B, K, H, W).
    """
    wanted = (teacher.detach().float() / temperature).flatten(2).log_softmax(dim=2)
    given = (student.float() / temperature).flatten(2).log_softmax(dim=2)
    return (wanted.exp() * (wanted - given)).sum(dim=2).mean() * temperature**2
