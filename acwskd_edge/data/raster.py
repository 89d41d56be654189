"""Pictures from disk: PNG, JPEG and TIFF of one page, grey or red, green, blue."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Intensity
from acwskd_edge.errors import DataError

LOSSLESS = (".png", ".tif", ".tiff")
RASTERS = (*LOSSLESS, ".jpg", ".jpeg")
# ImageNet's mean and standard deviation, the custom for photographs.
RGB = Intensity(low=0.0, high=255.0, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def rasters_in(folder: Path) -> dict[str, Path]:
    """Stem -> file, sorted.

    Raises:
        DataError: two files of one stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in RASTERS:
            continue
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path.name} have the same stem", hint="keep one of them")
        found[path.stem] = path
    return found


def read_raster(path: Path) -> NDArray[np.generic]:
    """A picture (H, W) or, in colour, (H, W, 3) red, green, blue; uint8 or uint16. Alpha is dropped, palettes resolved.

    Raises:
        DataError: absent, damaged, of several pages, or of another depth.
    """
    if not path.is_file():
        raise DataError(f"no file {path}", hint="check the path")
    data = path.read_bytes()
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    found = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if found is None:
        raise DataError(f"{path} is not a readable picture", allowed=", ".join(RASTERS))
    if path.suffix.lower() in (".tif", ".tiff") and (pages := cv2.imcount(str(path))) > 1:
        raise DataError(f"{path} has {pages} pages", allowed="one", hint="one file per slice, or flare22 for volumes")
    if found.dtype not in (np.uint8, np.uint16) or (found.ndim == 3 and found.dtype != np.uint8):
        channels = 1 if found.ndim == 2 else found.shape[2]
        raise DataError(f"{path} has {channels} x {found.dtype} pixels", allowed="8- or 16-bit grey, 8-bit RGB")
    return found if found.ndim == 2 else np.ascontiguousarray(found[..., 2::-1])
