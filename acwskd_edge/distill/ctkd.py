"""CTKD: distillation at a temperature learned against the student."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from acwskd_edge.distill.acw_skd import Temperature, cosine_rise
from acwskd_edge.distill.base import weigh
from acwskd_edge.distill.losses import distill, segmentation_loss
from acwskd_edge.distill.teacher import Offline, OfflineSettings
from acwskd_edge.errors import UsageError
from acwskd_edge.models.taps import Tapped


@dataclass
class CtkdSettings(OfflineSettings):
    """The repository's values."""

    seg: float = 0.1  # weight of L_seg
    kd: float = 0.9  # weight of the distillation term
    t_min: float = 1.0  # T = t_min + (t_max - t_min) sigmoid(theta), 15.6 at the start (theta = 1)
    t_max: float = 21.0
    reversal_end: float = 10 / 240  # share of training over which the reversal grows from 0 to 1: 10 of 240 epochs

    def __post_init__(self) -> None:
        if not 0 < self.t_min < self.t_max:
            raise UsageError(f"temperature range [{self.t_min}, {self.t_max}]", allowed="0 < t_min < t_max")


class Ctkd(Offline):
    """L = seg L_seg(z) + kd T^2 KL(softmax(z_t/T) || softmax(z/T)), T global, its gradient reversed.

    Li et al., Curriculum temperature for knowledge distillation, AAAI 2023; zhengli97/CTKD.
    """

    settings: CtkdSettings

    def __init__(self, network: Tapped, classes: int, settings: CtkdSettings, teacher: Tapped) -> None:
        super().__init__(network, classes, settings, teacher)
        self.temperature = Temperature(settings.t_min, settings.t_max)
        nn.init.ones_(self.temperature.theta)

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`; the log shows T and the strength of its reversal beside the terms."""
        use = self.settings
        logits = network(images)
        reversal = cosine_rise(progress, use.reversal_end)
        temperature = self.temperature(reversal)
        kd = distill(logits, self.ask(images).logits, temperature)
        loss, terms = weigh({"seg": segmentation_loss(logits, labels), "kd": kd}, seg=use.seg, kd=use.kd)
        return loss, terms | {"temperature": temperature.detach(), "reversal": images.new_full((), reversal)}
