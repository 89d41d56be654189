"""ACW-SKD: adversarial class-wise self-knowledge distillation (Yu et al., Sci Rep 2025;15:13231), our reading.

The abstract fixes four ingredients; docs/method.md says what is ours. The forward pass below goes through them in the
order of the figure one would draw:

    image -> backbone -> F --------------------------------> main head -> z          (deployed)
                 |       |  \\                                              ^
                 |       |   class-wise features f_k -> FRM_c -> f^_k        | distil at temperature T
           aux head -> P_k (coarse masks)                       |           |
                         |                                      v           |
                         +---------> FRM_p( F, sum_k P_k f^_k ) = F^ -> head^ -> z^  (the next-stage objective)

Everything but backbone and main head exists in training only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acwskd_edge.distill.base import Objective
from acwskd_edge.distill.losses import cosine_distance, distill, reverse_gradient, segmentation_loss
from acwskd_edge.errors import UsageError
from acwskd_edge.models.taps import Tapped, middle_of, resize


@dataclass
class AcwSkdSettings:
    """Weights of the terms (0 switches a term off) and the choices inside them."""

    aux: float = 0.4  # L_seg of the auxiliary head's coarse segmentation
    reconstruct: float = 0.5  # L_seg of the reconstructed logits z^, which makes the FRM a better objective
    penultimate: float = 0.1  # L_pen: 1 - cos(F, F^) over channels and places of an image
    class_wise: float = 0.1  # L_cw: 1 - cos(f_k, f^_k) over the classes present
    inter_class: float = 0.1  # squared difference of the class-pair cosines of f and f^
    class_label: float = 0.1  # cross entropy that keeps the reconstructed class vectors f^_k apart
    adversarial: float = 0.05  # L_adv: KL(z^ || z) at the learnable temperature
    form: str = "vector"  # class-wise features: vector f_k, or map F_k = P_k F at the auxiliary head's resolution
    t_min: float = 1.0  # range of the temperature
    t_max: float = 4.0
    reversal_end: float = 0.1  # share of training over which the gradient reversal grows from 0 to 1 (cosine)
    ramp_end: float = 0.3  # share of training over which the distillation terms grow from 0 to full (linear)
    hidden: int = 4  # width of the penultimate FRM's hidden layer, in units of F's channels

    def __post_init__(self) -> None:
        if self.form not in ("vector", "map"):
            raise UsageError(f"objective form {self.form!r}", allowed="vector, map")
        if not 0 < self.t_min < self.t_max:
            raise UsageError(f"temperature range [{self.t_min}, {self.t_max}]", allowed="0 < t_min < t_max")


class Reconstruction(nn.Module):
    """FRM: ReLU(x + Conv(ReLU(BN(Conv(context))))), the generation block of MGD (Yang et al. 2022) with a residual.

    It starts as the identity and stays in the space of features behind a ReLU: a free residual soon outgrew the
    feature, and there was nothing left to learn from.
    """

    def __init__(self, channels: int, context: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(context, hidden, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.outer = nn.Conv2d(hidden, channels, kernel, padding=kernel // 2)
        nn.init.zeros_(self.outer.weight)
        if self.outer.bias is not None:
            nn.init.zeros_(self.outer.bias)

    def forward(self, feature: Tensor, context: Tensor) -> Tensor:
        """Feature (B, C, H, W), context (B, C', H, W) -> (B, C, H, W)."""
        return F.relu(feature + self.outer(F.relu(self.norm(self.inner(context)))))


class Temperature(nn.Module):
    """T = t_min + (t_max - t_min) sigmoid(theta), learned against the student through a gradient reversal (CTKD)."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.theta = nn.Parameter(torch.zeros(()))

    def forward(self, reversal: float) -> Tensor:
        """Scalar T; its gradient arrives at theta multiplied by -reversal."""
        return self.low + (self.high - self.low) * torch.sigmoid(reverse_gradient(self.theta, reversal))


class AcwSkd(Objective):
    """The full objective; called as `Objective` says."""

    def __init__(self, network: Tapped, classes: int, settings: AcwSkdSettings) -> None:
        super().__init__()
        self.settings, self.classes = settings, classes
        every = network.feature_channels
        coarse, channels = every[middle_of(len(every))], every[-1]
        self.aux_head = nn.Conv2d(coarse, classes, 1)
        kernel = 1 if settings.form == "vector" else 3
        self.class_frm = Reconstruction(channels, channels, 4 * channels, kernel)
        self.class_head = nn.Linear(channels, classes)
        self.frm = Reconstruction(channels, 2 * channels, settings.hidden * channels, 3)
        self.head = nn.Conv2d(channels, classes, 1)
        self.temperature = Temperature(settings.t_min, settings.t_max)

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_seg(z) + aux L_seg(z_a) + reconstruct L_seg(z^) + ramp (L_pen, L_cw, L_inter, L_adv, each weighted)."""
        use = self.settings
        taps = network.taps(images)
        feature, logits = taps.penultimate, taps.logits
        coarse_logits = self.aux_head(taps.middle)
        coarse = coarse_logits.detach().float().softmax(dim=1)  # P: the masks; no gradient through them

        pooled = self.pool(feature, coarse)
        class_features, weight = self.class_wise(pooled, coarse)
        rebuilt = self.rebuild(class_features)
        rebuilt_vectors, vectors = self.vectors(rebuilt, coarse), self.vectors(class_features, coarse)
        context = torch.einsum("bkc,bkhw->bchw", rebuilt_vectors, coarse).to(feature.dtype)
        objective = self.frm(feature, torch.cat([feature, resize(context, feature)], dim=1))  # F^
        objective_logits = resize(self.head(objective), images)  # z^

        present = self.present(labels, weight)
        temperature = self.temperature(cosine_rise(progress, use.reversal_end))
        terms = {
            "seg": segmentation_loss(logits, labels),
            "aux": segmentation_loss(resize(coarse_logits, images), labels),
            "reconstruct": segmentation_loss(objective_logits, labels),
            "class_label": self.label_loss(rebuilt_vectors, present),
            "penultimate": cosine_distance(feature, objective, (1, 2, 3)).mean(),
            "class_wise": self.over_present(self.class_distance(class_features, rebuilt), present),
            "inter_class": self.pair_loss(vectors, rebuilt_vectors, present),
            "adversarial": distill(logits, objective_logits, temperature),
        }
        ramp = 1.0 if use.ramp_end <= 0 else min(1.0, progress / use.ramp_end)
        supervised = {"seg": 1.0, "aux": use.aux, "reconstruct": use.reconstruct, "class_label": use.class_label}
        weights = {name: supervised.get(name, ramp * getattr(use, name, 0.0)) for name in terms}
        loss = torch.stack([weights[name] * term for name, term in terms.items() if weights[name] > 0]).sum()
        return loss, {name: term.detach() for name, term in terms.items()} | {"temperature": temperature.detach()}

    @staticmethod
    def pool(feature: Tensor, coarse: Tensor) -> Tensor:
        """A feature on the coarse masks' grid, float32."""
        return F.adaptive_avg_pool2d(feature, (coarse.shape[-2], coarse.shape[-1])).float()

    def class_wise(self, pooled: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Class-wise features at the coarse masks' resolution, of a feature pooled to it.

        Returns:
            vector form (B, K, C), f_k = sum_i P_k(i) F(i) / sum_i P_k(i); map form (B, K, C, h, w), F_k = P_k F;
            and the soft area of each class (B, K), as a share of the image.
        """
        area = coarse.mean(dim=(2, 3))
        if self.settings.form == "map":
            return coarse[:, :, None] * pooled[:, None], area
        total = torch.einsum("bkhw,bchw->bkc", coarse, pooled) / (coarse.shape[-1] * coarse.shape[-2])
        return total / (area[..., None] + 1e-6), area

    def rebuild(self, class_features: Tensor) -> Tensor:
        """FRM at the class-wise layer, shared by the classes; same shape out as in."""
        shape = class_features.shape
        flat = class_features.reshape(shape[0] * shape[1], shape[2], *(shape[3:] or (1, 1)))
        return self.class_frm(flat, flat).float().reshape(shape)

    def vectors(self, class_features: Tensor, coarse: Tensor) -> Tensor:
        """(B, K, C) from either form."""
        if class_features.dim() == 3:
            return class_features
        return class_features.sum(dim=(3, 4)) / (coarse.sum(dim=(2, 3))[..., None] + 1e-6)

    @staticmethod
    def present(labels: Tensor, area: Tensor) -> Tensor:
        """(B, K) bool: foreground classes in the image's truth of which the coarse mask has found something."""
        classes = torch.arange(area.shape[1], device=area.device)
        inside = (labels.flatten(1)[:, None] == classes[None, :, None]).any(dim=2)
        return inside & (area > 1e-4) & (classes > 0)

    @staticmethod
    def class_distance(student: Tensor, target: Tensor) -> Tensor:
        """(B, K): 1 - cos between class-wise features, over channels and, in map form, places."""
        return cosine_distance(student, target, tuple(range(2, student.dim())))

    @staticmethod
    def over_present(values: Tensor, present: Tensor) -> Tensor:
        """Mean over what is present; 0 if nothing is."""
        return (values * present).sum() / present.sum().clamp(min=1)

    def label_loss(self, vectors: Tensor, present: Tensor) -> Tensor:
        """Cross entropy of naming the class from its reconstructed vector."""
        wanted = torch.arange(self.classes, device=vectors.device).expand(vectors.shape[:2])
        entropy = F.cross_entropy(self.class_head(vectors).float().transpose(1, 2), wanted, reduction="none")
        return self.over_present(entropy, present)

    def pair_loss(self, student: Tensor, target: Tensor, present: Tensor) -> Tensor:
        """Squared difference of class-pair cosines between f and f^, over pairs of present classes (RAD of EMKD)."""
        ours, theirs = F.normalize(student.float(), dim=2), F.normalize(target.detach().float(), dim=2)
        gap = (ours @ ours.transpose(1, 2) - theirs @ theirs.transpose(1, 2)).square()
        pairs = present[:, :, None] & present[:, None, :]
        return self.over_present(gap, pairs & ~torch.eye(self.classes, dtype=torch.bool, device=pairs.device))


def cosine_rise(progress: float, end: float) -> float:
    """0 at the start, 1 from `end` on, half a cosine between."""
    return 1.0 if end <= 0 or progress >= end else (1 - math.cos(math.pi * progress / end)) / 2
