"""EMKD: predictions, importance maps and region affinity of a medical segmentation teacher."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from acwskd_edge.distill.base import weigh
from acwskd_edge.distill.losses import attention, distill, segmentation_loss
from acwskd_edge.distill.regions import class_means, labels_on
from acwskd_edge.distill.teacher import Offline, OfflineSettings
from acwskd_edge.models.taps import Tapped, resize


@dataclass
class EmkdSettings(OfflineSettings):
    """The repository's weights."""

    pmd: float = 0.1  # prediction maps: T^2 KL per pixel
    imd: float = 0.9  # importance maps: squared distance of normalised channel means of F^4
    rad: float = 0.9  # region affinity: squared difference of the class pairs' cosines
    temperature: float = 4.0  # of the prediction maps


class Emkd(Offline):
    """L = L_seg(z) + pmd PMD + imd (IMD_low + IMD_high) + rad (RAD_low + RAD_high).

    Qin et al., Efficient medical image segmentation based on knowledge distillation, IEEE TMI 2021; EagleMIT/EMKD.
    Low and high are the penultimate and the deepest decoder feature. The repository knows two classes; with more,
    RAD is summed over pairs of classes present in the image.
    """

    settings: EmkdSettings

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        use = self.settings
        ours, theirs = network.taps(images), self.ask(images)
        low, high = (ours.features[-1], theirs.features[-1]), (ours.features[0], theirs.features[0])
        terms = {
            "seg": segmentation_loss(ours.logits, labels),
            "pmd": distill(ours.logits, theirs.logits, use.temperature),
            "imd": importance(*low) + importance(*high),
            "rad": self.affinity(*low, labels) + self.affinity(*high, labels),
        }
        return weigh(terms, pmd=use.pmd, imd=use.imd, rad=use.rad)

    def affinity(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Sum over pairs of present classes of (cos_s - cos_t)^2, mean over images; each feature on its own grid."""
        ours, found = self.cosines(student, labels)
        theirs, known = self.cosines(teacher, labels)
        present = found & known
        pairs = (present[:, :, None] & present[:, None, :]).triu(diagonal=1)
        return ((ours - theirs).square() * pairs).sum(dim=(1, 2)).mean()

    def cosines(self, feature: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, K) cosines of the classes' mean features, and which classes are present (B, K) bool."""
        means, count = class_means(feature, labels_on(labels, feature), self.classes)
        return F.cosine_similarity(means[:, :, None], means[:, None], dim=3), count > 0


def importance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the attention maps at power 4, mean over images; the student's is resized."""
    return (attention(resize(student, teacher), 4) - attention(teacher, 4)).square().sum(dim=1).mean()
