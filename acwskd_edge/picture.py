"""Pictures people look at: a slice in grey or colour with its mask on top."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Contract
from acwskd_edge.errors import DataError
from acwskd_edge.files import write_atomic

PICTURES = (".png", ".jpg", ".jpeg")


def read_picture(path: Path, contract: Contract) -> NDArray[np.generic]:
    """A picture file as the contract's image (H, W, C).

    An 8-bit picture for a contract in HU is taken as a screenshot of the window: 0 is `low`, 255 is `high`.

    Raises:
        DataError: absent, not a picture, or of a depth the contract does not cover.
    """
    if not path.is_file():
        raise DataError(f"no file {path}", hint="check the path")
    flag = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH  # always in colour: cv2's own grey depends on the file's format
    found = cv2.imdecode(np.fromfile(path, np.uint8), flag) if path.stat().st_size else None
    if found is None:
        raise DataError(f"{path} is not a readable picture", allowed="PNG or JPEG")
    if found.dtype != np.uint8:
        raise DataError(f"{path} has {found.dtype} pixels", allowed="8 bits per channel")
    image = found[..., ::-1] if contract.channels == 3 else luma(found[..., ::-1])[..., None]
    if contract.pixel == "uint8":
        return image
    low, high = contract.intensity.low, contract.intensity.high
    return low + image.astype(np.float64) / 255.0 * (high - low)


def luma(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) red, green, blue -> (H, W): BT.601 in whole numbers, so that every language agrees.

    A grey picture, whose three values are equal, stays as it is.
    """
    red, green, blue = (picture[..., i].astype(np.uint32) for i in range(3))
    return np.asarray((9798 * red + 19235 * green + 3735 * blue + 16384) >> 15, np.uint8)


def to_grey(image: NDArray[np.generic], contract: Contract) -> NDArray[np.uint8]:
    """Image (H, W) or (H, W, C) in the contract's window -> (H, W, 3) uint8, red, green, blue."""
    low, high = contract.intensity.low, contract.intensity.high
    values = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1)
    values = values[..., None] if values.ndim == 2 else values
    shown = np.floor(values * 255 + 0.5).astype(np.uint8)
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def tint(
    image: NDArray[np.generic], mask: NDArray[np.uint8], contract: Contract, opacity: float = 0.45
) -> NDArray[np.uint8]:
    """The image with a tint of the contract's colours over every class but background.

    Args:
        image: (H, W) or (H, W, C); mask: (H, W) label ids; opacity of the tint, 0 to 1.
    Returns:
        (H, W, 3) uint8, red, green, blue.
    """
    picture = to_grey(image, contract).astype(np.float64)
    colours = np.array(contract.palette, np.float64)[mask]
    picture = np.where((mask > 0)[..., None], (1 - opacity) * picture + opacity * colours, picture)
    return np.floor(picture + 0.5).astype(np.uint8)


def overlay(
    image: NDArray[np.generic], mask: NDArray[np.uint8], contract: Contract, opacity: float = 0.45
) -> NDArray[np.uint8]:
    """`tint`, with a line around each class; the same arguments and result."""
    result = np.ascontiguousarray(tint(image, mask, contract, opacity))
    for label in contract.labels[1:]:
        outlines, _ = cv2.findContours((mask == label.id).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(result, outlines, -1, label.color, 1)
    return result


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) red, green, blue -> PNG."""
    _, data = cv2.imencode(".png", picture[..., ::-1])
    return bytes(data.tobytes())


def save_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG atomically."""
    write_atomic(path, encode_png(picture))
