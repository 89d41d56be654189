"""Arrays from an HDF5 file, as ACDC and Synapse are packed for 2-D training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.errors import DataError, MissingDependency


def read_h5(path: Path, *names: str, every: int = 1) -> list[NDArray[np.generic]]:
    """The named arrays, each `every`-th slice of their first axis.

    Raises:
        DataError: absent, damaged, or without one of the names.
        MissingDependency: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingDependency("h5 volumes need h5py", hint="pip install h5py") from error
    try:
        with h5py.File(path, "r") as volume:
            return [np.asarray(volume[name][::every]) for name in names]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is not a readable h5 volume ({error})", allowed=f"h5 with {' and '.join(names)}"
        ) from error
