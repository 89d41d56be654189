from __future__ import annotations

import pytest
import torch
from torch import Tensor

from acwskd_edge.distill.repeat import Repeat


def rows(*numbers: int) -> tuple[Tensor, Tensor]:
    """Images and labels that carry their number."""
    images = torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2).clone()
    return images, images[:, 0].long()


def numbers(images: Tensor) -> list[int]:
    return images[:, 0, 0, 0].int().tolist()


def test_half_of_every_batch_repeats_the_batch_before() -> None:
    repeat = Repeat("logits")
    seen = []
    for given in (rows(1, 2, 3, 4), rows(5, 6, 7, 8), rows(9, 10, 11, 12)):
        batch = repeat(*given)
        assert torch.equal(batch.labels, batch.images[:, 0].long())
        if batch.count:
            assert torch.equal(batch.before["logits"], 10 * batch.images[: batch.count])
        repeat.keep(batch, logits=10 * batch.images)
        seen.append((batch.count, numbers(batch.images)))
    assert seen == [(0, [1, 2, 3, 4]), (2, [3, 4, 5, 6]), (2, [5, 6, 9, 10])]


@pytest.mark.parametrize(("size", "count"), [(1, 0), (2, 1), (5, 2)])
def test_any_batch_keeps_its_size(size: int, count: int) -> None:
    repeat = Repeat()
    for _ in range(3):
        batch = repeat(*rows(*range(size)))
        repeat.keep(batch)
        assert len(batch.images) == size
    assert batch.count == count


def test_what_is_given_is_not_changed_and_what_is_kept_has_no_gradient() -> None:
    repeat = Repeat("logits")
    repeat.keep(repeat(*rows(1, 2)), logits=torch.ones(2, 3, requires_grad=True))
    images, labels = rows(3, 4)
    batch = repeat(images, labels)
    assert numbers(images) == [3, 4]
    assert not batch.before["logits"].requires_grad


def test_memory_order_is_that_of_the_images_given() -> None:
    repeat = Repeat()
    for _ in range(2):
        images = torch.zeros(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
        batch = repeat(images, torch.zeros(4, 2, 2, dtype=torch.int64))
        assert batch.images.stride() == images.stride()
        repeat.keep(batch)


@pytest.mark.parametrize("steps", [0, 1])
def test_its_memory_is_restored_from_the_state(steps: int) -> None:
    repeat, other = Repeat("logits"), Repeat("logits")
    for _ in range(steps):
        repeat.keep(repeat(*rows(1, 2)), logits=torch.ones(2, 3))
    torch.nn.Sequential(other).load_state_dict(torch.nn.Sequential(repeat).state_dict())
    ours, theirs = repeat(*rows(3, 4)), other(*rows(3, 4))
    assert ours.count == theirs.count == steps
    assert torch.equal(ours.images, theirs.images)
    assert torch.equal(ours.before["logits"], theirs.before["logits"])


def test_its_memory_moves_with_it() -> None:
    repeat = Repeat()
    repeat.keep(repeat(*rows(1, 2)))
    assert repeat.to("meta").get_buffer("images").device.type == "meta"
