"""What every objective is."""

from __future__ import annotations

from torch import Tensor, nn

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
