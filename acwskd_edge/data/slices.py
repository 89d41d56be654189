"""Training slices: every slice of the training cases on the network's grid, drawn and augmented by (seed, step)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Contract
from acwskd_edge.data.case import DataSet
from acwskd_edge.preprocess import label_to_grid, network_spacing, to_grid


@dataclass
class Augment:
    """Random changes of a training slice; 0 switches one off."""

    rotate: float = 15.0  # degrees, uniform in +- this
    scale: float = 0.15  # relative, uniform in +- this
    shift: float = 0.06  # of the side, uniform in +- this
    gain: float = 0.1  # relative change of the intensities' spread
    offset: float = 0.1  # change of the intensities, in units of the contract's std
    flip: bool = False  # left-right; off because organs have a side


class TrainingSlices:
    """All training slices in memory.

    Batches are a pure function of (seed, step), which is what makes a resumed run equal to an uninterrupted one.
    """

    def __init__(self, data: DataSet, ids: Iterable[str], contract: Contract) -> None:
        self.contract = contract
        spacings: list[tuple[float, float]] = []
        pixels, labels = [], []
        for one in ids:
            case = data.load(one)
            assert case.label is not None
            if case.in_plane:
                spacings.append(network_spacing(contract, case.image.shape[1], case.image.shape[2], case.in_plane))
            for piece, truth in zip(case.image, case.label, strict=True):
                pixels.append(to_grid(piece, contract))
                labels.append(label_to_grid(truth, contract))
        self.pixels = np.stack(pixels)  # (N, h, w, C) of the contract's pixel dtype
        self.labels = np.stack(labels)  # (N, h, w) uint8
        self.spacings = spacings  # mm per row and column of the grid, one per case that knows it
        present = np.stack([(self.labels == k).any(axis=(1, 2)) for k in range(contract.classes)], axis=1)
        self.with_class = [np.flatnonzero(present[:, k]) for k in range(1, contract.classes) if present[:, k].any()]

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, size: int, seed: int, step: int, augment: Augment) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Half of the batch holds a class drawn evenly among the classes, so that rare ones are seen.

        Returns:
            images (B, C, h, w) float32, normalised; labels (B, h, w) int64.
        """
        rng = np.random.default_rng([seed, step])
        images, labels = [], []
        for i in range(size):
            pool = self.with_class[rng.integers(len(self.with_class))] if i % 2 and self.with_class else None
            index = int(pool[rng.integers(len(pool))] if pool is not None else rng.integers(len(self)))
            image, label = change(self.pixels[index], self.labels[index], self.contract, augment, rng)
            images.append(image)
            labels.append(label)
        return np.stack(images), np.stack(labels)


def change(
    pixels: NDArray[np.generic],
    label: NDArray[np.uint8],
    contract: Contract,
    augment: Augment,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """One augmented slice: pixels (h, w, C), label (h, w) -> network input (C, h, w), label (h, w)."""
    norm = contract.intensity
    height, width = label.shape
    angle = rng.uniform(-augment.rotate, augment.rotate)
    zoom = 1 + rng.uniform(-augment.scale, augment.scale)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, zoom)
    turn[:, 2] += rng.uniform(-augment.shift, augment.shift, 2) * (width, height)
    values = np.clip(pixels.astype(np.float32), norm.low, norm.high)
    fill = [norm.low] * contract.channels
    values = cv2.warpAffine(values, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=fill)
    label = cv2.warpAffine(label, turn, (width, height), flags=cv2.INTER_NEAREST, borderValue=0)
    mean, std = np.asarray(norm.mean, np.float32), np.asarray(norm.std, np.float32)
    values = (values.reshape(height, width, contract.channels) - mean) / std
    values = values * (1 + rng.uniform(-augment.gain, augment.gain))
    values = values + rng.uniform(-augment.offset, augment.offset)
    if augment.flip and rng.random() < 0.5:
        values, label = values[:, ::-1], label[:, ::-1]
    return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32), label.astype(np.int64)
