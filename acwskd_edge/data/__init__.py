"""Data sets: one reader per layout on disk, chosen with `--data kind:path`."""

from __future__ import annotations

from collections.abc import Callable

from acwskd_edge.data.acdc import Acdc
from acwskd_edge.data.case import SPLITS, Case, DataSet, Split, cases_in, first_patients, split_hash
from acwskd_edge.data.flare22 import Flare22
from acwskd_edge.data.folder import Folder
from acwskd_edge.data.m2caiseg import M2caiSeg
from acwskd_edge.data.phantom import Phantom
from acwskd_edge.data.synapse import Synapse, SynapseCascade
from acwskd_edge.errors import UsageError

DATASETS: dict[str, Callable[[str], DataSet]] = {
    "phantom": Phantom,
    "flare22": Flare22,
    "acdc": Acdc,
    "synapse": Synapse,
    "synapse-cascade": SynapseCascade,
    "m2caiseg": M2caiSeg,
    "folder": Folder,
}


def open_data(spec: str) -> DataSet:
    """Open `kind:path`, for instance `flare22:data/FLARE22` or `phantom:40` (patients).

    Raises:
        UsageError: no such kind.
        DataError: the folder is absent or empty.
    """
    kind, _, where = spec.partition(":")
    if kind not in DATASETS:
        raise UsageError(f"unknown data kind {kind!r} in --data {spec}", allowed=", ".join(DATASETS))
    return DATASETS[kind](where)


__all__ = ["DATASETS", "SPLITS", "Case", "DataSet", "Split", "cases_in", "first_patients", "open_data", "split_hash"]
