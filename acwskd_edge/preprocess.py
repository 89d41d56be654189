"""The contract in numpy: image -> pixels on the network's grid -> network input, and mask -> the image's grid.

The other languages port this file; golden vectors prove them equal. Steps:
    to_grid   resize with a triangle filter (half-pixel centres, antialiased: what PIL and torch call bilinear with
              antialias), letterbox, round half up, clip to the pixel dtype. After this step values are integers.
    normalise (clip(x, low, high) - mean) / std, channels first, a batch of one.
    to_image  nearest neighbour back onto the image, the letterbox cut off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Contract
from acwskd_edge.errors import DataError


@dataclass(frozen=True)
class Placement:
    """Where an image of a given size lies on the network's grid, in grid pixels."""

    top: int
    left: int
    height: int
    width: int


def place(contract: Contract, height: int, width: int) -> Placement:
    """The part of the grid an image of `height` x `width` covers."""
    if contract.resize == "stretch":
        return Placement(0, 0, contract.height, contract.width)
    scale = min(contract.height / height, contract.width / width)
    new_h = min(contract.height, max(1, math.floor(height * scale + 0.5)))
    new_w = min(contract.width, max(1, math.floor(width * scale + 0.5)))
    return Placement((contract.height - new_h) // 2, (contract.width - new_w) // 2, new_h, new_w)


@lru_cache(maxsize=64)
def resize_weights(source: int, target: int) -> NDArray[np.float64]:
    """(target, source) matrix of the triangle filter along one axis; rows sum to 1."""
    scale = source / target
    support = max(scale, 1.0)
    centre = (np.arange(target, dtype=np.float64) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(source, dtype=np.float64)[None, :] - centre[:, None])
    weights = np.maximum(0.0, 1.0 - distance / support)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@lru_cache(maxsize=64)
def _taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(taps, target) of `resize_weights` that are not zero: which rows an output row is made of, and their weights."""
    weights = resize_weights(source, target)
    count = int((weights > 0).sum(axis=1).max())
    first = np.minimum((weights > 0).argmax(axis=1), source - count)
    index = first[:, None] + np.arange(count)
    return index.T.copy(), np.take_along_axis(weights, index, axis=1).T.copy()


def _resize_rows(values: NDArray[np.float64], target: int) -> NDArray[np.float64]:
    """`resize_weights @ values` without its zeros: (source, n) -> (target, n)."""
    index, weights = _taps(values.shape[0], target)
    total = values[index[0]] * weights[0][:, None]
    for rows, weight in zip(index[1:], weights[1:], strict=True):
        total += values[rows] * weight[:, None]
    return total


def to_grid(image: NDArray[np.generic], contract: Contract) -> NDArray[np.generic]:
    """Resize one image onto the network's grid.

    Args:
        image: (H, W) or (H, W, C), any real dtype.
    Returns:
        (h, w, C) of the contract's pixel dtype.
    Raises:
        DataError: wrong number of channels, an empty image, or NaN/Inf pixels.
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] != contract.channels or 0 in image.shape:
        raise DataError(f"image of shape {image.shape}", allowed=f"(height, width) with {contract.channels} channel(s)")
    values = image.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("image has NaN or infinite pixels", hint="repair or exclude the scan")
    spot = place(contract, values.shape[0], values.shape[1])
    channels = [_resize_rows(values[..., c], spot.height) for c in range(values.shape[2])]
    small = np.stack([_resize_rows(np.ascontiguousarray(one.T), spot.width).T for one in channels], axis=-1)
    grid = np.full((contract.height, contract.width, contract.channels), contract.intensity.low)
    grid[spot.top : spot.top + spot.height, spot.left : spot.left + spot.width] = small
    limits = np.iinfo(contract.pixel)
    # The tiny offset makes exact halves round up on every machine, whatever the order of summation was.
    return np.clip(np.floor(grid + 0.5 + 1e-6), limits.min, limits.max).astype(contract.pixel)


def normalise(pixels: NDArray[np.generic], contract: Contract) -> NDArray[np.float32]:
    """Grid pixels (h, w, C) -> network input (1, C, h, w) float32."""
    norm = contract.intensity
    values = np.clip(pixels.astype(np.float32), np.float32(norm.low), np.float32(norm.high))
    mean, std = np.asarray(norm.mean, np.float32), np.asarray(norm.std, np.float32)
    values = np.asarray((values - mean) / std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def mask_of(logits: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Logits (..., K, h, w) -> mask (..., h, w); on a tie the lowest class id wins."""
    classes = np.moveaxis(logits, -3, 0)
    best, mask = classes[0].copy(), np.zeros(classes.shape[1:], np.uint8)
    for k, score in enumerate(classes[1:], 1):  # argmax is slow along an axis that is not the last
        np.copyto(mask, k, where=score > best)
        np.maximum(best, score, out=best)
    return mask


@lru_cache(maxsize=64)
def _nearest(source: int, target: int) -> NDArray[np.intp]:
    return np.minimum(source - 1, np.floor((np.arange(target) + 0.5) * (source / target)).astype(np.intp))


def to_image(mask: NDArray[np.uint8], contract: Contract, height: int, width: int) -> NDArray[np.uint8]:
    """Mask on the network's grid (h, w) -> mask on the image's grid (height, width), nearest neighbour."""
    spot = place(contract, height, width)
    rows = spot.top + _nearest(spot.height, height)
    cols = spot.left + _nearest(spot.width, width)
    return mask.take(cols, axis=1).take(rows, axis=0)


def label_to_grid(label: NDArray[np.generic], contract: Contract) -> NDArray[np.uint8]:
    """Label (H, W) -> (h, w) on the network's grid, nearest neighbour, background where padded."""
    spot = place(contract, label.shape[0], label.shape[1])
    small = label[_nearest(label.shape[0], spot.height)[:, None], _nearest(label.shape[1], spot.width)[None, :]]
    grid = np.zeros((contract.height, contract.width), np.uint8)
    grid[spot.top : spot.top + spot.height, spot.left : spot.left + spot.width] = small
    return grid


def network_spacing(contract: Contract, height: int, width: int, spacing: tuple[float, float]) -> tuple[float, float]:
    """Millimetres per row and column of the network's grid for an image of this size and spacing."""
    spot = place(contract, height, width)
    return spacing[0] * height / spot.height, spacing[1] * width / spot.width
