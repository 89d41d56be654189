"""Segment a scan or a picture with a bundle's artefact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acwskd_edge import runtimes
from acwskd_edge.bundle import Artefact, Bundle
from acwskd_edge.contract import Contract
from acwskd_edge.data.nifti import read_volume, write_mask
from acwskd_edge.errors import DataError, MissingDependency, UsageError
from acwskd_edge.evaluate import Segment, segment_with
from acwskd_edge.picture import PICTURES, overlay, read_picture, save_picture
from acwskd_edge.preprocess import network_spacing, to_grid, to_image

SCANS = (".nii", ".nii.gz")


def choose(bundle: Bundle, artefact_id: str | None) -> tuple[Artefact, Segment]:
    """The artefact asked for, or the first whose runtime is installed here.

    Raises:
        UsageError: no such artefact.
        MissingDependency: no runtime of this bundle is installed.
    """
    candidates = [bundle.find(artefact_id)] if artefact_id else list(bundle.artefacts)
    missing = UsageError(f"{bundle.root} holds no artefact", hint="convert again with another precision")
    for one in candidates:
        try:
            runtime = runtimes.load(one.runtime, bundle.path(one))
        except MissingDependency as error:
            missing = error
            continue
        return one, segment_with(runtime, bundle.contract, one.io)
    raise missing


def predict(bundle: Bundle, source: Path, out: Path, artefact_id: str | None = None) -> list[str]:
    """NIfTI in, NIfTI mask out in the same frame; PNG or JPEG in, PNG overlay out.

    Returns:
        lines to print: what was used, what was found, warnings.
    Raises:
        DataError: the input cannot be read or does not fit the contract.
        UsageError: the output's kind does not fit the input's.
    """
    scan = source.name.endswith(SCANS)
    if not scan and source.suffix.lower() not in PICTURES:
        raise UsageError(f"input {source}", allowed=", ".join(SCANS + PICTURES))
    fitting = SCANS if scan else (".png",)
    if not out.name.endswith(fitting):
        raise UsageError(f"output {out} for input {source.name}", allowed=f"a name ending in {', '.join(fitting)}")
    artefact, segment = choose(bundle, artefact_id)
    lines = [f"{artefact.id} on {artefact.runtime}"]
    if scan:
        lines += predict_scan(bundle.contract, segment, source, out)
    else:
        image = read_picture(source, bundle.contract)
        mask = segment_image(bundle.contract, segment, image[None])[0]
        save_picture(overlay(image, mask, bundle.contract), out)
        lines += areas(bundle.contract, mask, 100.0 / mask.size, "% of the picture")
    return [*lines, str(out)]


def segment_image(contract: Contract, segment: Segment, slices: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(D, H, W[, C]) -> masks (D, H, W) on the same grid."""
    masks = segment(np.stack([to_grid(piece, contract) for piece in slices]))
    return np.stack([to_image(mask, contract, slices.shape[1], slices.shape[2]) for mask in masks])


def predict_scan(contract: Contract, segment: Segment, source: Path, out: Path) -> list[str]:
    """Every axial slice of a NIfTI volume."""
    volume = read_volume(source)
    if contract.channels != 1:
        raise DataError(f"{source} is a scan, but the contract wants {contract.channels} channels", allowed="PNG, JPEG")
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    if contract.pixel == "uint8" and (low < 0 or high > 255):
        raise DataError(
            f"{source} has voxels from {low:g} to {high:g}",
            allowed="0 to 255, as the network was trained on",
            hint="scale the volume to 0..255 (min-max) first",
        )
    mask = segment_image(contract, segment, volume.voxels)
    write_mask(mask, source, out)
    lines = []
    if contract.spacing:
        grid = network_spacing(contract, mask.shape[1], mask.shape[2], volume.spacing[1:])
        ratio = max(max(a / b, b / a) for a, b in zip(grid, contract.spacing, strict=True))
        if ratio > 1.5:
            lines.append(
                f"warning: a network pixel is {grid[0]:.2f} x {grid[1]:.2f} mm here and was "
                f"{contract.spacing[0]:.2f} x {contract.spacing[1]:.2f} mm in training; expect worse masks"
            )
    return lines + areas(contract, mask, float(np.prod(volume.spacing)) / 1000, "ml")


def areas(contract: Contract, mask: NDArray[np.uint8], unit: float, name: str) -> list[str]:
    """How much of each class was found."""
    counts = np.bincount(mask.ravel(), minlength=contract.classes)
    found = [f"  {one.name:<22}{counts[one.id] * unit:10.1f} {name}" for one in contract.labels[1:] if counts[one.id]]
    return found or ["  nothing was found"]
