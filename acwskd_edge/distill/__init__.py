"""Objectives: what a training step minimises. Their modules exist in training only.

An objective is built with the network, the number of classes and its settings, and called with a batch; it is an
`nn.Module`, so its own parameters are trained and checkpointed with the network's.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from acwskd_edge.distill.acw_skd import AcwSkd, AcwSkdSettings
from acwskd_edge.distill.base import Objective
from acwskd_edge.distill.plain import Plain, PlainSettings
from acwskd_edge.errors import ContractError, UsageError
from acwskd_edge.models.taps import Tapped

OBJECTIVES: dict[str, tuple[type[Objective], type[Any]]] = {
    "plain": (Plain, PlainSettings),
    "acw_skd": (AcwSkd, AcwSkdSettings),
}


def build_objective(name: str, settings: dict[str, Any], network: Tapped, classes: int) -> Objective:
    """An objective from a recipe's `objective:` block.

    Raises:
        UsageError: no such objective.
        ContractError: a setting it does not have.
    """
    if name not in OBJECTIVES:
        raise UsageError(f"unknown objective {name!r}", allowed=", ".join(OBJECTIVES))
    kind, settings_kind = OBJECTIVES[name]
    known = {field.name for field in fields(settings_kind)}
    if unknown := sorted(set(settings) - known):
        raise ContractError(
            f"objective {name} has no setting {', '.join(unknown)}", allowed=", ".join(sorted(known)) or "none"
        )
    return kind(network, classes, settings_kind(**settings))
