from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from acwskd_edge.contract import Contract, Intensity
from acwskd_edge.errors import DataError
from acwskd_edge.preprocess import (
    label_to_grid,
    mask_of,
    network_spacing,
    normalise,
    place,
    resize_weights,
    to_grid,
    to_image,
)


@pytest.mark.parametrize(("source", "target"), [(512, 128), (101, 128), (128, 128), (77, 31), (2, 9), (5, 1)])
def test_resize_is_torchs_antialiased_bilinear(contract: Contract, source: int, target: int) -> None:
    line = 1000 * np.random.default_rng(0).normal(size=(1, 1, source, source))
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(line), size=(target, target), mode="bilinear", align_corners=False, antialias=True
    )
    weights = resize_weights(source, target)
    assert np.allclose(weights @ line[0, 0] @ weights.T, wanted[0, 0].numpy(), atol=1e-9)
    grid = to_grid(line[0, 0], replace(contract, height=target, width=target))
    assert np.array_equal(grid[..., 0], np.floor(wanted[0, 0].numpy() + 0.5))


def test_letterbox_keeps_the_aspect_ratio_and_pads_with_low(contract: Contract) -> None:
    spot = place(contract, 100, 100)
    assert (spot.top, spot.left, spot.height, spot.width) == (0, 8, 32, 32)
    grid = to_grid(np.full((100, 100), 50), contract)
    assert grid.dtype == np.int16
    assert (grid[:, 8:40] == 50).all()
    assert (grid[:, :8] == -160).all()


def test_halves_round_up(contract: Contract) -> None:
    same = replace(contract, height=2, width=2)
    pixels = to_grid(np.array([[0.5, 1.5], [-0.5, -1.5]]), same)
    assert pixels[..., 0].tolist() == [[1, 2], [0, -1]]


def test_intensity_clips_then_scales(contract: Contract) -> None:
    pixels = np.array([[[-1000], [40]], [[240], [3000]]], np.int16)
    assert normalise(pixels, contract)[0, 0].tolist() == [[-1.0, 0.0], [1.0, 1.0]]


def test_colour_has_a_mean_and_std_per_channel(contract: Contract) -> None:
    colour = replace(contract, channels=3, pixel="uint8", intensity=Intensity(0, 255, (0, 10, 20), (1, 2, 4)))
    batch = normalise(to_grid(np.full((32, 48, 3), 20, np.uint8), colour), colour)
    assert batch.shape == (1, 3, 32, 48)
    assert batch[0, :, 0, 0].tolist() == [20.0, 5.0, 0.0]


def test_mask_takes_the_lowest_id_on_a_tie() -> None:
    assert mask_of(np.zeros((1, 3, 2, 2))).tolist() == [[[0, 0], [0, 0]]]


def test_mask_is_the_class_of_the_highest_logit() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 5, 7, 9)).astype(np.float32)
    assert np.array_equal(mask_of(logits), logits.argmax(axis=1))


@pytest.mark.parametrize("shape", [(32, 48), (64, 96), (61, 37), (16, 300)])
def test_a_mask_comes_back_onto_the_image(contract: Contract, shape: tuple[int, int]) -> None:
    spot = place(contract, *shape)
    mask = np.full((32, 48), 2, np.uint8)  # the padding's class must not come back
    mask[spot.top : spot.top + spot.height, spot.left : spot.left + spot.width] = 1
    back = to_image(mask, contract, *shape)
    assert back.shape == shape
    assert (back == 1).all()


def test_label_to_grid_then_to_image_is_the_identity_when_nothing_is_lost(contract: Contract) -> None:
    label = np.random.default_rng(1).integers(0, 3, (16, 24)).astype(np.uint8)
    assert np.array_equal(to_image(label_to_grid(label, contract), contract, 16, 24), label)


def test_spacing_of_the_network_grid(contract: Contract) -> None:
    assert network_spacing(contract, 64, 96, (1.5, 1.5)) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.full((8, 8), np.nan), "NaN"),
        (np.zeros((8, 8, 3)), "1 channel"),
        (np.zeros((0, 8)), "1 channel"),
    ],
)
def test_bad_images_are_named(contract: Contract, image: np.ndarray, says: str) -> None:
    with pytest.raises(DataError, match=says):
        to_grid(image, contract)
