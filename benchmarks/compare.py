"""`--compare old.json`: which rows became slower, worse or larger than they were.

Where both reports timed a row against the baseline, its ratio to it is compared: the machine's mood cancels. Other rows
are compared by their median after the drift of the machine, the median change of all rows, has been divided out. Either
way a change counts only beyond the limit *and* with intervals that do not overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

ENOUGH = 4  # rows that say how the machine drifted


@dataclass(frozen=True)
class Limits:
    """What still passes."""

    latency: float = 0.10  # share by which a row may become slower
    dice: float = 0.01  # Dice it may lose, in the mean or in any class
    size: float = 0.05  # share by which its file may grow


@dataclass
class Comparison:
    """What was found."""

    worse: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compared: int = 0


@dataclass(frozen=True)
class Change:
    """Of one row's speed: how many times slower, with the interval that is sure."""

    slower: float
    sure: float  # the least that both intervals allow; at most 1 where they overlap
    how: str


def regressions(old: dict[str, Any], new: dict[str, Any], limits: Limits) -> Comparison:
    """Compare row by row, by id."""
    before = {row["id"]: row for row in old["rows"]}
    found = Comparison()
    pairs = [(before[row["id"]], row) for row in new["rows"] if row["id"] in before]
    for missing in [one for one in before if one not in {row["id"] for row in new["rows"]}]:
        found.notes.append(f"{missing} is not among the rows any more")
    same = old["machine"] == new["machine"] and old["settings"]["threads"] == new["settings"]["threads"]
    drift = drift_of(pairs) if same else 1.0
    if same:
        found.notes.append(f"drift of the machine since {old['made']}: {drift:.2f} x")
    else:
        found.notes.append("measured on another machine or with other threads: latency is compared by ratio only")
    cases = old["data"] == new["data"]
    if not cases:
        found.notes.append("Dice is of other cases, so it is not compared")
    if changes := ratio_changes(pairs):
        name = max(changes, key=lambda one: changes[one])
        middle = f"{100 * median(changes.values()):.1f} % in the median"
        found.notes.append(f"{len(changes)} ratios differ by at most {100 * changes[name]:.1f} % ({name}), {middle}")
    for one, other in pairs:
        found.compared += 1
        found.worse += [f"{other['id']} {what}" for what in row_changes(one, other, limits, same, cases, drift)]
    return found


def row_changes(
    old: dict[str, Any], new: dict[str, Any], limits: Limits, same_machine: bool, same_cases: bool, drift: float
) -> list[str]:
    """What became worse in one row."""
    said = []
    speed = speed_change(old, new, same_machine, drift)
    if speed and speed.slower > 1 + limits.latency and speed.sure > 1:
        said.append(f"is {speed.slower:.2f} x slower ({speed.how})")
    if same_cases and old["dice"] and new["dice"]:
        for name, value in old["dice"].items():
            now = new["dice"].get(name)
            if value is not None and (now is None or value - now > limits.dice):
                said.append(f"lost Dice ({name} {value:.4f} -> {'none' if now is None else f'{now:.4f}'})")
                break
    if new["bytes"] > old["bytes"] * (1 + limits.size):
        said.append(f"grew from {old['bytes'] / 1e6:.3f} to {new['bytes'] / 1e6:.3f} MB")
    if new["verdict"] in ("rejected", "worse") and old["verdict"] not in ("rejected", "worse"):
        said.append(f"is {new['verdict']} now")
    return said


def speed_change(old: dict[str, Any], new: dict[str, Any], same_machine: bool, drift: float) -> Change | None:
    """How much slower a row became; None where there is nothing to compare."""
    ratios = [row["speedup"]["same_precision"] or row["speedup"]["fp32"] for row in (old, new)]
    if all(one and one["ci95"] for one in ratios) and ratios[0]["against"] == ratios[1]["against"]:
        then, now = ratios
        text = f"against {now['against']} {then['ratio']:.2f} x -> {now['ratio']:.2f} x"
        return Change(then["ratio"] / now["ratio"], then["ci95"][0] / now["ci95"][1], text)
    then, now = old["latency"], new["latency"]
    if not (same_machine and then and now and then["median_ci95_ms"] and now["median_ci95_ms"]):
        return None
    slower = now["median_ms"] / then["median_ms"] / drift
    sure = now["median_ci95_ms"][0] / then["median_ci95_ms"][1] / drift
    return Change(slower, sure, f"median {then['median_ms']:.3g} -> {now['median_ms']:.3g} ms")


def ratio_changes(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
    """Row and kind of ratio to the baseline -> share by which the larger exceeds the smaller."""
    changes = {}
    for old, new in pairs:
        before, after = ratios_of(old), ratios_of(new)
        for name in before.keys() & after.keys():
            changes[f"{new['id']}, {name}"] = max(before[name] / after[name], after[name] / before[name]) - 1
    return changes


def ratios_of(row: dict[str, Any]) -> dict[str, float]:
    """Every ratio of a row to the baseline, of the network and end to end."""
    whole = (row.get("end_to_end") or {}).get("speedup", {})
    every = row["speedup"] | {f"{name} end to end": one for name, one in whole.items()}
    return {name: one["ratio"] for name, one in every.items() if one}


def drift_of(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> float:
    """Median of new / old latency over all rows; 1 with too few to tell the machine from a row."""
    changes = [new["latency"]["median_ms"] / old["latency"]["median_ms"] for old, new in pairs if both_timed(old, new)]
    return median(changes) if len(changes) >= ENOUGH else 1.0


def both_timed(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a row has a latency in both reports."""
    return bool(old["latency"] and new["latency"])
