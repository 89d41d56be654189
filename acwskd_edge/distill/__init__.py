"""Objectives: what a training step minimises. Their modules exist in training only.

An objective is built with the network, the number of classes and its settings, and called with a batch; it is an
`nn.Module`, so its own parameters are trained and checkpointed with the network's.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from acwskd_edge.contract import Contract
from acwskd_edge.distill.acw_skd import AcwSkd, AcwSkdSettings
from acwskd_edge.distill.base import Objective
from acwskd_edge.distill.byot import Byot, ByotSettings
from acwskd_edge.distill.cirkd import Cirkd, CirkdSettings
from acwskd_edge.distill.ctkd import Ctkd, CtkdSettings
from acwskd_edge.distill.cwd import Cwd, CwdSettings
from acwskd_edge.distill.deep_supervision import DeepSupervision, DeepSupervisionSettings
from acwskd_edge.distill.dlb import Dlb, DlbSettings
from acwskd_edge.distill.emkd import Emkd, EmkdSettings
from acwskd_edge.distill.frskd import Frskd, FrskdSettings
from acwskd_edge.distill.ifvd import Ifvd, IfvdSettings
from acwskd_edge.distill.kd import Kd, KdSettings
from acwskd_edge.distill.mgd import Mgd, MgdSettings
from acwskd_edge.distill.plain import Plain, PlainSettings
from acwskd_edge.distill.ps_kd import PsKd, PsKdSettings
from acwskd_edge.distill.teacher import Offline, load_teacher
from acwskd_edge.errors import ContractError, UsageError
from acwskd_edge.models.taps import Tapped

OBJECTIVES: dict[str, tuple[type[Objective], type[Any]]] = {
    "plain": (Plain, PlainSettings),
    "acw_skd": (AcwSkd, AcwSkdSettings),
    "deep_supervision": (DeepSupervision, DeepSupervisionSettings),
    # self-distillation
    "byot": (Byot, ByotSettings),
    "dlb": (Dlb, DlbSettings),
    "frskd": (Frskd, FrskdSettings),
    "ps_kd": (PsKd, PsKdSettings),
    # from a teacher
    "kd": (Kd, KdSettings),
    "cwd": (Cwd, CwdSettings),
    "cirkd": (Cirkd, CirkdSettings),
    "ctkd": (Ctkd, CtkdSettings),
    "emkd": (Emkd, EmkdSettings),
    "ifvd": (Ifvd, IfvdSettings),
    "mgd": (Mgd, MgdSettings),
}


def build_objective(
    name: str, settings: dict[str, Any], network: Tapped, classes: int, contract: Contract | None = None
) -> Objective:
    """An objective from a recipe's `objective:` block.

    Args:
        contract: of the network to train; a teacher must agree with it.
    Raises:
        UsageError: no such objective, or no usable teacher.
        ContractError: a setting it does not have or of the wrong kind, or a teacher that knows other labels or inputs.
    """
    if name not in OBJECTIVES:
        raise UsageError(f"unknown objective {name!r}", allowed=", ".join(OBJECTIVES))
    kind, settings_kind = OBJECTIVES[name]
    known = {field.name: type(field.default) for field in fields(settings_kind)}
    if unknown := sorted(set(settings) - set(known)):
        raise ContractError(
            f"objective {name} has no setting {', '.join(unknown)}", allowed=", ".join(sorted(known)) or "none"
        )
    for key, value in settings.items():
        fits = isinstance(value, (int, float) if known[key] is float else known[key])
        if not fits or isinstance(value, bool) != (known[key] is bool):
            raise ContractError(
                f"objective {name}: {key} = {value!r}", allowed=f"a value of type {known[key].__name__}"
            )
    use = settings_kind(**settings)
    if issubclass(kind, Offline):
        return kind(network, classes, use, load_teacher(use.teacher, classes, contract))
    return kind(network, classes, use)
