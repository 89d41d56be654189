"""ACW-SKD: adversarial class-wise self-knowledge distillation (Yu et al., Sci Rep 2025;15:13231), our reading.

The abstract fixes four ingredients; docs/method.md says what is ours. The forward pass below goes through them in the
order of the figure one would draw:

    image -> backbone -> F ------------------------------------------> main head -> z         (deployed)
                |        | averaged over the cells of the coarse grid                ^
                |        +--> class-wise features f_k -> FRM_c -> f^_k               | distil at temperature T
                v        |         ^                          |                      |
           middle G -> aux head -> P_k (coarse masks)         v                      |
                |        +-------------> FRM_p( F, [F, sum_k P_k f^_k, G] ) = F^ -> head^ -> z^  (next-stage objective)
                +------------------------------------^

Everything but backbone and main head exists in training only, and works on the coarse masks' grid, a quarter of the
image's side in the networks here: that is what keeps a step close to a plain step's cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acwskd_edge.distill.base import Objective, several_features
from acwskd_edge.distill.losses import (
    cosine_distance,
    distill,
    fraction_loss,
    label_fractions,
    reverse_gradient,
    segmentation_loss,
    sum_by_class,
)
from acwskd_edge.distill.repeat import Repeat, Repeated
from acwskd_edge.errors import UsageError
from acwskd_edge.models.taps import Tapped, Taps, middle_of, pool

TARGETS = ("feature", "vectors", "logits")  # what the FRMs build: F^, f^ and z^


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
    form: str = "vector"  # class-wise features: vector f_k, or map F_k = P_k F
    stage: str = "depth"  # where F^, f^ and z^ come from: depth (this forward pass), or previous (the last mini-batch)
    t_min: float = 1.0  # range of the temperature
    t_max: float = 4.0
    reversal_end: float = 0.1  # share of training over which the gradient reversal grows from 0 to 1 (cosine)
    ramp_end: float = 0.3  # share of training over which the distillation terms grow from 0 to full (linear)
    detached: bool = False  # the FRMs see features without gradient, so that building an objective does not shape them
    hidden: int = 2  # width of the penultimate FRM's hidden layer, in units of F's channels

    def __post_init__(self) -> None:
        for name, allowed in (("form", ("vector", "map")), ("stage", ("depth", "previous"))):
            if getattr(self, name) not in allowed:
                raise UsageError(f"objective {name} {getattr(self, name)!r}", allowed=", ".join(allowed))
        if not 0 < self.t_min < self.t_max:
            raise UsageError(f"temperature range [{self.t_min}, {self.t_max}]", allowed="0 < t_min < t_max")


@dataclass(frozen=True)
class Built:
    """What a forward pass makes on the coarse grid: the student's features, and the objectives built from them."""

    coarse_logits: Tensor  # z_a (B, K, h, w), float32
    coarse: Tensor  # P (B, K, h, w): the masks, without gradient
    student: dict[str, Tensor]  # F, f and z under the names of TARGETS
    target: dict[str, Tensor]  # F^, f^ and z^


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
        every = several_features(network, "acw_skd")
        middle, channels = every[middle_of(len(every))], every[-1]
        self.aux_head = nn.Conv2d(middle, classes, 1)
        kernel = 1 if settings.form == "vector" else 3
        self.class_frm = Reconstruction(channels, channels, 4 * channels, kernel)
        self.class_head = nn.Linear(channels, classes)
        self.frm = Reconstruction(channels, 2 * channels + middle, settings.hidden * channels, 3)
        self.head = nn.Conv2d(channels, classes, 1)
        self.temperature = Temperature(settings.t_min, settings.t_max)
        self.repeat = Repeat(*TARGETS) if settings.stage == "previous" else None

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_seg(z) + aux L_seg(z_a) + reconstruct L_seg(z^) + ramp (L_pen, L_cw, L_inter, L_adv, each weighted)."""
        batch = self.repeat(images, labels) if self.repeat else None
        if batch:
            images, labels = batch.images, batch.labels
        taps = network.taps(images)
        built = self.build(network, taps)
        truth = label_fractions(labels, self.classes, built.coarse)
        present = self.present(truth, built.coarse)
        rebuilt_vectors = self.vectors(built.target["vectors"], built.coarse)
        terms = {
            "seg": segmentation_loss(taps.logits, labels),
            "aux": fraction_loss(built.coarse_logits, truth),
            "reconstruct": fraction_loss(built.target["logits"], truth),
            "class_label": self.label_loss(rebuilt_vectors, present),
        }
        strength = cosine_rise(progress, self.settings.reversal_end)
        temperature = self.temperature(strength)
        terms |= self.distillation(built.student, self.taught(built.target, batch), built.coarse, present, temperature)

        weights = self.weights(progress)
        loss = torch.stack([weights[name] * term for name, term in terms.items() if weights[name] > 0]).sum()
        largest = top_class(truth)
        log = terms | {
            "temperature": temperature,
            "reversal": temperature.new_full((), strength),
            "health/norm_feature": built.student["feature"].detach().float().norm(dim=1).mean(),
            "health/norm_objective": built.target["feature"].detach().float().norm(dim=1).mean(),
            "health/spread_feature": spread(built.student["feature"]),
            "health/spread_objective": spread(built.target["feature"]),
            "health/dice_main": coarse_dice(built.student["logits"], largest),
            "health/dice_objective": coarse_dice(built.target["logits"], largest),
        }
        return loss, {name: value.detach() for name, value in log.items()}

    def build(self, network: Tapped, taps: Taps) -> Built:
        """Coarse masks -> class-wise features -> FRMs -> F^, f^ and z^."""
        coarse_logits = self.aux_head(taps.middle).float()
        coarse = coarse_logits.detach().softmax(dim=1)
        feature = pool(taps.penultimate, coarse)
        class_features = self.class_wise(feature.float(), coarse)
        seen, middle, sums = feature, taps.middle, class_features
        if self.settings.detached:
            seen, middle, sums = seen.detach(), middle.detach(), sums.detach()
        rebuilt = self.rebuild(sums)
        # Channels last, as the features are: the FRM's first convolution would reorder a mixture of the two.
        context = torch.einsum("bkc,bkhw->bhwc", self.vectors(rebuilt, coarse), coarse).to(feature.dtype)
        built = self.frm(seen, torch.cat([seen, context.permute(0, 3, 1, 2), middle], dim=1))
        student = {"feature": feature, "vectors": class_features, "logits": network.coarse_logits(taps, feature)}
        target = {"feature": built, "vectors": rebuilt, "logits": self.head(built)}
        return Built(coarse_logits, coarse, student, target)

    def weights(self, progress: float) -> dict[str, float]:
        """Of every term at this point of training."""
        use = self.settings
        ramp = 1.0 if use.ramp_end <= 0 else min(1.0, progress / use.ramp_end)
        supervised = {"seg": 1.0, "aux": use.aux, "reconstruct": use.reconstruct, "class_label": use.class_label}
        taught = ("penultimate", "class_wise", "inter_class", "adversarial")
        return supervised | {name: ramp * getattr(use, name) for name in taught}

    def taught(self, target: dict[str, Tensor], batch: Repeated | None) -> dict[str, Tensor]:
        """The objective of this step: what was just built or, of the repeated rows, what the last step built."""
        if self.repeat is None or batch is None:
            return target
        self.repeat.keep(batch, **target)
        return batch.before if batch.count else {name: value[:0] for name, value in target.items()}

    def distillation(
        self,
        student: dict[str, Tensor],
        target: dict[str, Tensor],
        coarse: Tensor,
        present: Tensor,
        temperature: Tensor,
    ) -> dict[str, Tensor]:
        """L_pen, L_cw, L_inter and L_adv over the rows that have a target; 0 if none has."""
        rows = len(target["logits"])
        if rows == 0:
            nothing = coarse.new_zeros(())
            return dict.fromkeys(("penultimate", "class_wise", "inter_class", "adversarial"), nothing)
        ours = student
        if rows < len(coarse):  # a slice's gradient is a copy, and not channels last
            coarse, present = coarse[:rows], present[:rows]
            ours = {name: value[:rows] for name, value in student.items()}
        axes = tuple(range(2, ours["vectors"].dim()))
        vectors, wanted = self.vectors(ours["vectors"], coarse), self.vectors(target["vectors"], coarse)
        return {
            "penultimate": cosine_distance(ours["feature"], target["feature"], (1, 2, 3)).mean(),
            "class_wise": over_present(cosine_distance(ours["vectors"], target["vectors"], axes), present),
            "inter_class": self.pair_loss(vectors, wanted, present),
            "adversarial": distill(ours["logits"], target["logits"], temperature),
        }

    def class_wise(self, feature: Tensor, coarse: Tensor) -> Tensor:
        """Class-wise features of a feature (B, C, h, w) on the grid of the coarse masks (B, K, h, w), float32.

        Returns:
            vector form (B, K, C), f_k = sum_i P_k(i) F(i) / sum_i P_k(i); map form (B, K, C, h, w), F_k = P_k F.
        """
        if self.settings.form == "map":
            return coarse[:, :, None] * feature[:, None]
        with torch.autocast(feature.device.type, enabled=False):  # it would round the sums to bfloat16
            total = torch.einsum("bkhw,bchw->bkc", coarse, feature)
        return total / (coarse.sum(dim=(2, 3))[..., None] + 1e-3)

    def rebuild(self, class_features: Tensor) -> Tensor:
        """FRM at the class-wise layer, shared by the classes; same shape out as in."""
        shape = class_features.shape
        flat = class_features.reshape(shape[0] * shape[1], shape[2], *(shape[3:] or (1, 1)))
        return self.class_frm(flat, flat).float().reshape(shape)

    def vectors(self, class_features: Tensor, coarse: Tensor) -> Tensor:
        """(B, K, C) from either form."""
        if class_features.dim() == 3:
            return class_features
        return class_features.sum(dim=(3, 4)) / (coarse.sum(dim=(2, 3))[..., None] + 1e-3)

    @staticmethod
    def present(truth: Tensor, coarse: Tensor) -> Tensor:
        """(B, K) bool: foreground classes in the image's truth of which the coarse mask has found something."""
        found = (truth.amax(dim=(2, 3)) > 0) & (coarse.mean(dim=(2, 3)) > 1e-4)
        found[:, 0] = False
        return found

    def label_loss(self, vectors: Tensor, present: Tensor) -> Tensor:
        """Cross entropy of naming the class from its reconstructed vector."""
        wanted = torch.arange(self.classes, device=vectors.device).expand(vectors.shape[:2])
        entropy = F.cross_entropy(self.class_head(vectors).float().transpose(1, 2), wanted, reduction="none")
        return over_present(entropy, present)

    def pair_loss(self, student: Tensor, target: Tensor, present: Tensor) -> Tensor:
        """Squared difference of class-pair cosines between f and f^, over pairs of present classes (RAD of EMKD)."""
        ours, theirs = student.float(), target.detach().float()
        gap = (pair_cosines(ours) - pair_cosines(theirs)).square()
        pairs = present[:, :, None] & present[:, None, :]
        return over_present(gap, pairs & ~torch.eye(self.classes, dtype=torch.bool, device=pairs.device))


def over_present(values: Tensor, present: Tensor) -> Tensor:
    """Mean over what is present; 0 if nothing is."""
    return (values * present).sum() / present.sum().clamp(min=1)


def pair_cosines(vectors: Tensor) -> Tensor:
    """(B, K, C) -> cosines of every two classes (B, K, K)."""
    return F.cosine_similarity(vectors[:, :, None], vectors[:, None], dim=3)


def top_class(scores: Tensor) -> Tensor:
    """(B, K, h, w) -> the class of the highest score (B, h, w); argmax is slow on a CPU along this axis."""
    return scores.max(dim=1).indices


@torch.no_grad()
def spread(feature: Tensor) -> Tensor:
    """Standard deviation of a channel of (B, C, h, w), averaged over channels; torch.std is slow on a CPU."""
    values = feature.float()
    mean, square = values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3))
    return (square - mean.square()).clamp(min=0).sqrt().mean()


@torch.no_grad()
def coarse_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean foreground Dice of a batch: logits (B, K, h, w) against labels (B, h, w); 0 without foreground."""
    given, wanted, classes = top_class(logits).flatten(), labels.flatten(), logits.shape[1]
    one = torch.ones_like(given, dtype=torch.float32)
    hits = sum_by_class((given == wanted).float(), wanted, classes)[1:]
    size = sum_by_class(one, wanted, classes)[1:]
    total = sum_by_class(one, given, classes)[1:] + size
    return over_present(2 * hits / total.clamp(min=1), size > 0)


def cosine_rise(progress: float, end: float) -> float:
    """0 at the start, 1 from `end` on, half a cosine between."""
    return 1.0 if end <= 0 or progress >= end else (1 - math.cos(math.pi * progress / end)) / 2
