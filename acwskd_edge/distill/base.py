"""What every objective is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from acwskd_edge.errors import UsageError
from acwskd_edge.models.taps import Tapped


class Objective(nn.Module):
    """What a training step minimises; its own parameters exist in training only."""

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One batch.

        Args:
            images: (B, C, H, W); labels: (B, H, W) int64; progress: 0 at the first step, 1 at the last.
        Returns:
            the loss to minimise and its named, unweighted terms for the log.
        """
        raise NotImplementedError


def weigh(terms: dict[str, Tensor], **weights: float) -> tuple[Tensor, dict[str, Tensor]]:
    """What an objective returns: the weighted sum of its scalar terms, and the terms as they are, for the log.

    Args:
        weights: by name; a term without one counts 1, a weight of 0 keeps its term out of the gradient.
    """
    weighted = [weight * term for name, term in terms.items() if (weight := weights.get(name, 1.0)) != 0]
    return torch.stack(weighted).sum(), {name: term.detach() for name, term in terms.items()}


def several_features(network: Tapped, objective: str) -> list[int]:
    """Channels of the network's features, deepest first.

    Raises:
        UsageError: there is one only.
    """
    if len(network.feature_channels) < 2:
        raise UsageError(
            f"objective {objective} on a network that shows one feature", hint="name an earlier one with --aux"
        )
    return network.feature_channels
