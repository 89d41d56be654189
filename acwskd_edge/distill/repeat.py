"""Half of every batch repeats the batch before: what lets an objective learn from the previous mini-batch (DLB)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Repeated:
    """A batch whose first `count` rows were the last rows of the batch before."""

    images: Tensor  # (B, C, H, W), in the memory order of the images given
    labels: Tensor  # (B, H, W) int64
    count: int  # 0 at the first step, then B // 2
    before: dict[str, Tensor]  # what was kept of those rows then: (count, ...), without gradient


class Repeat(nn.Module):
    """The memory between two steps, in buffers, so that a resumed run is exact.

        batch = self.repeat(images, labels)
        logits = network(batch.images)
        if batch.count: ... distill(logits[: batch.count], batch.before["logits"], 3.0)
        self.repeat.keep(batch, logits=logits)

    From the second step on a batch of B rows holds B // 2 rows of the last step and the first B - B // 2 of those
    given. A batch of one row repeats nothing.

    Args:
        names: of the tensors an objective keeps beside images and labels.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = ("images", "labels", *names)
        for name in self.names:
            self.register_buffer(name, torch.zeros(0))

    def forward(self, images: Tensor, labels: Tensor) -> Repeated:
        """Images (B, C, H, W) and labels (B, H, W) -> the batch to run."""
        count = len(self.get_buffer("images"))
        before = {name: self.get_buffer(name) for name in self.names}
        past_images, past_labels = before.pop("images"), before.pop("labels")
        if count:
            images, labels = behind(past_images, images), behind(past_labels, labels)
        return Repeated(images, labels, count, before)

    def keep(self, batch: Repeated, **tensors: Tensor) -> None:
        """Keep the last B // 2 rows of the batch just run, none of them a repeat, for the next step.

        Args:
            tensors: one (B, ...) of every name of the constructor; kept without gradient.
        """
        start = len(batch.images) - len(batch.images) // 2
        for name, tensor in ({"images": batch.images, "labels": batch.labels} | tensors).items():
            # One memory order, the one a checkpoint is read back in: sums depend on it in the last bit.
            self.register_buffer(name, tensor.detach()[start:].clone(memory_format=torch.contiguous_format))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """Buffers take the shape and dtype of what is loaded."""
        for name in self.names:
            if prefix + name in state_dict:
                empty = torch.empty_like(state_dict[prefix + name], device=self.get_buffer(name).device)
                self.register_buffer(name, empty)
        super()._load_from_state_dict(state_dict, prefix, *args)


def behind(past: Tensor, given: Tensor) -> Tensor:
    """As many rows as `given`, in its memory order: the past ones, then its first."""
    rows = torch.empty_like(given)
    rows[: len(past)], rows[len(past) :] = past, given[: len(given) - len(past)]
    return rows
