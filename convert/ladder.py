"""`--precision auto`: the smallest artefact inside the gate's tolerance, tried from the smallest up.

int8 -> mixed, int8 but for the 1, 2, 4, 8 ... most sensitive layers -> fp16 -> fp32. Sensitivity is measured only if
plain int8 is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from acwskd_edge.errors import RefusedError
from convert.export import MIXED

AUTO = "auto"


@dataclass(frozen=True)
class Rung:
    """One attempt."""

    precision: str  # int8, fp16, fp32
    keep: tuple[str, ...] = ()  # int8 only: layers that stay float

    @property
    def label(self) -> str:
        """The precision of its artefact; see `Job.label`."""
        return MIXED if self.keep else self.precision


def rungs(most_sensitive: Callable[[], list[str]]) -> Iterator[Rung]:
    """All attempts in order.

    Args:
        most_sensitive: measures and gives the layers' names, most sensitive first; raises RefusedError where layers
            cannot be told apart. Up to half of them are kept: beyond, fp16 is as small.
    """
    yield Rung("int8")
    try:
        layers = most_sensitive()
    except RefusedError as error:
        print(f"no layer is kept apart: {error}", flush=True)
        layers = []
    count = 1
    while count <= len(layers) // 2:
        yield Rung("int8", tuple(layers[:count]))
        count *= 2
    yield Rung("fp16")
    yield Rung("fp32")


def climb(steps: Iterator[Rung], attempt: Callable[[Rung], dict[str, Any]]) -> list[dict[str, Any]]:
    """Attempt rung after rung until one passes.

    Args:
        attempt: emits and judges; gives the artefact's entry for report.json.
    Returns:
        What each rung gave, for report.json: id, precision, keep, bytes, seconds, Dice change of mean and worst class,
        verdict.
    """
    tried = []
    for rung in steps:
        entry = attempt(rung)
        changes = {name: value for name, value in entry["dice_change"].items() if name != "mean" and value is not None}
        worst = min(changes, key=lambda name: changes[name]) if changes else None
        tried.append(
            {
                **{key: entry[key] for key in ("id", "precision", "keep", "bytes", "seconds")},
                "mean_change": entry["dice_change"]["mean"],
                "worst_class": worst,
                "worst_change": changes[worst] if worst else None,
                "verdict": entry["verdict"],
            }
        )
        if entry["verdict"] == "passed":
            break
    return tried


def summary(tried: list[dict[str, Any]]) -> str:
    """One line: each rung, its worst class, and whether it held."""
    return " -> ".join(
        f"{one['precision']}{' (' + str(len(one['keep'])) + ' kept)' if one['keep'] else ''} "
        f"{one['verdict']} ({one['worst_class']} {one['worst_change'] or 0.0:+.4f})"
        for one in tried
    )
