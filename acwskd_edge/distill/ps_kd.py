"""PS-KD: the network of the epoch before softens the labels."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acwskd_edge.distill.base import Objective, weigh
from acwskd_edge.distill.losses import segmentation_loss
from acwskd_edge.errors import UsageError
from acwskd_edge.models.taps import Tapped


@dataclass
class PsKdSettings:
    """The paper's values."""

    alpha: float = 0.8  # share of the past prediction in the label at the end of training
    epochs: int = 300  # equal parts of training at whose beginnings the past network is renewed

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"objective epochs {self.epochs}", allowed="1 or more")


class PsKd(Objective):
    """L = L_seg(z) with the label of its cross entropy (1 - a_t) y + a_t p_{t-1}, a_t = alpha (t + 1) / epochs.

    Kim et al., Self-knowledge distillation with progressive refinement of targets, ICCV 2021;
    lgcnsai/PS-KD-Pytorch. p_{t-1} is computed by a copy of the network as epoch t began, because augmented slices
    do not recur; the soft Dice of L_seg keeps the hard labels. The first epoch has no past: p is y.
    """

    epoch: Tensor

    def __init__(self, network: Tapped, classes: int, settings: PsKdSettings) -> None:
        super().__init__()
        self.settings = settings
        self.past = frozen_copy(network)
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`; a_t (soft - hard) replaces the hard labels in the cross entropy inside L_seg.

        Beside the terms the log shows a_t as `alpha`.
        """
        use = self.settings
        epoch = min(int(progress * use.epochs), use.epochs - 1)
        if epoch != int(self.epoch):
            self.past.load_state_dict(network.state_dict())
            self.epoch.fill_(epoch)
        alpha = use.alpha * (epoch + 1) / use.epochs
        logits = network(images)
        terms = {
            "seg": segmentation_loss(logits, labels),
            "hard": F.cross_entropy(logits.float(), labels),
            "soft": F.cross_entropy(logits.float(), self.predict(images) if epoch else labels),
        }
        loss, log = weigh(terms, hard=-alpha, soft=alpha)
        return loss, log | {"alpha": images.new_full((), alpha)}

    def predict(self, images: Tensor) -> Tensor:
        """p_{t-1}: the past network's probabilities (B, K, H, W) float32, without gradient."""
        with torch.no_grad():
            return self.past.eval()(images).float().softmax(dim=1)


def frozen_copy(network: nn.Module) -> nn.Module:
    """A copy whose parameters are buffers: saved and moved with its owner, never trained."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach().clone())
    return twin
