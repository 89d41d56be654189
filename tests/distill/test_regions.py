from __future__ import annotations

import torch

from acwskd_edge.distill.regions import class_means, labels_on

FEATURE = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]], [[0.0, 2.0], [4.0, 6.0]]]])
LABELS = torch.tensor([[[1, 1], [0, 1]]])


def test_class_means_are_means_over_the_places_of_a_class() -> None:
    means, count = class_means(FEATURE, LABELS, 3)
    assert count.tolist() == [[1, 3, 0]]
    assert torch.allclose(means[0], torch.tensor([[5.0, 4.0], [11 / 3, 8 / 3], [0.0, 0.0]]))


def test_autocast_does_not_round_them() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = class_means(FEATURE, LABELS, 3)
    assert torch.equal(rounded, class_means(FEATURE, LABELS, 3)[0])


def test_labels_take_the_grid_of_a_feature() -> None:
    labels = torch.tensor([[[0, 1, 2, 3]] * 4])
    assert labels_on(labels, torch.zeros(1, 5, 2, 2)).tolist() == [[[0, 2], [0, 2]]]
