"""Students that the search tries, by name: `benchmarks.candidates:s2w16l4m1` is a factory for any stem, width ...

s: space-to-depth factor of the stem; w: width of the first level; l: levels; m: convolutions of a decoder level.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from acwskd_edge.models.unet import UNet

PATTERN = re.compile(r"s(\d+)w(\d+)l(\d+)m(\d+)")


@dataclass(frozen=True)
class Candidate:
    """One point of the search space: the options of `UNet`."""

    stem: int
    width: int
    levels: int
    merge: int

    @property
    def name(self) -> str:
        """What `from_name` reads."""
        return f"s{self.stem}w{self.width}l{self.levels}m{self.merge}"

    @property
    def stride(self) -> int:
        """The input's sides must be divisible by it."""
        return int(self.stem * 2 ** (self.levels - 1))

    @property
    def fields(self) -> dict[str, str]:
        """Recipe fields that train it: the factory, and where an objective attaches."""
        last = self.levels - 2
        return {"model": f"{__name__}:{self.name}", "penultimate": f"merge.{last}", "aux": f"merge.{last // 2}"}

    def build(self, channels: int, classes: int) -> UNet:
        """A freshly initialised network."""
        return UNet(channels, classes, width=self.width, levels=self.levels, stem=self.stem, merge=self.merge)


def from_name(name: str) -> Candidate | None:
    """The candidate of a name; None if it is no such name."""
    found = PATTERN.fullmatch(name)
    return Candidate(*map(int, found.groups())) if found else None


def __getattr__(name: str) -> Callable[[int, int], UNet]:
    """`benchmarks.candidates:NAME` for every candidate."""
    candidate = from_name(name)
    if candidate is None:
        raise AttributeError(name)
    return candidate.build
