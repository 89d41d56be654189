"""IFVD: how alike the features inside a class are."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from acwskd_edge.distill.base import weigh
from acwskd_edge.distill.losses import distill, segmentation_loss
from acwskd_edge.distill.regions import class_means, labels_on
from acwskd_edge.distill.teacher import Offline, OfflineSettings
from acwskd_edge.models.taps import Tapped, resize


@dataclass
class IfvdSettings(OfflineSettings):
    """The repository's weights."""

    ifv: float = 200.0  # weight of the intra-class feature variation
    kd: float = 10.0  # weight of KL(teacher || student) at T = 1, averaged over pixels and classes


class Ifvd(Offline):
    """L = L_seg(z) + kd KL(z_t || z) / K + ifv mean (M(F) - M(F_t))^2, M = cosine to the mean of the own class.

    Wang et al., Intra-class feature variation distillation for semantic segmentation, ECCV 2020; YukangWang/IFVD.
    F is the penultimate feature; the teacher's is resized to the student's grid. Its pair-wise adversarial term
    (weight .001, a discriminator with gradient penalty, taken over from SKD) is left out.
    """

    settings: IfvdSettings

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        ours, theirs = network.taps(images), self.ask(images)
        small = labels_on(labels, ours.penultimate)
        target = variation(resize(theirs.penultimate, ours.penultimate), small, self.classes)
        terms = {
            "seg": segmentation_loss(ours.logits, labels),
            "kd": distill(ours.logits, theirs.logits, 1.0) / self.classes,
            "ifv": F.mse_loss(variation(ours.penultimate, small, self.classes), target),
        }
        return weigh(terms, kd=self.settings.kd, ifv=self.settings.ifv)


def variation(feature: Tensor, labels: Tensor, classes: int) -> Tensor:
    """M (B, N): cosine of each place's feature with the mean feature of its class in its image.

    Args:
        feature: (B, C, h, w); labels: (B, h, w) int64, N = h w.
    """
    means, _ = class_means(feature, labels, classes)
    index = labels.flatten(1)[..., None].expand(-1, -1, means.shape[2])
    return F.cosine_similarity(feature.float().flatten(2).transpose(1, 2), means.gather(1, index), dim=2)
