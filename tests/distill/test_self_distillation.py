from __future__ import annotations

import math

import pytest
import torch
from fixed import Fixed, places
from objective_contract import CLASSES, ObjectiveContract, batch
from torch import Tensor, nn

from acwskd_edge.distill import build_objective
from acwskd_edge.distill.acw_skd import AcwSkd
from acwskd_edge.distill.byot import Byot, ByotSettings, feature_distance
from acwskd_edge.distill.deep_supervision import DeepSupervision
from acwskd_edge.distill.dlb import Dlb, DlbSettings
from acwskd_edge.distill.frskd import Frskd, attention_gap, late_rise
from acwskd_edge.distill.ps_kd import PsKd, PsKdSettings, frozen_copy
from acwskd_edge.errors import ContractError, UsageError
from acwskd_edge.models import build_model

IMAGE = torch.zeros(1, 1, 1, 2)
LABELS = torch.tensor([[[0, 1]]])
KL = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # of (3/4, 1/4) against (1/2, 1/2)


class TestDeepSupervision(ObjectiveContract):
    name = "deep_supervision"


class TestDeepSupervisionAsPublished(ObjectiveContract):
    name = "deep_supervision"
    settings = {"full": True}  # noqa: RUF012


class TestByot(ObjectiveContract):
    name = "byot"


class TestDlb(ObjectiveContract):
    name = "dlb"


class TestFrskd(ObjectiveContract):
    name = "frskd"


class TestPsKd(ObjectiveContract):
    name = "ps_kd"
    settings = {"epochs": 3}  # noqa: RUF012 - so that a run is resumed in the middle of an epoch


def value(loss: Tensor) -> float:
    return float(loss.detach())


def test_deep_supervision_has_the_auxiliary_head_of_acw_skd_and_its_weight() -> None:
    network = build_model("s2d16", 1, CLASSES)
    control = build_objective("deep_supervision", {}, network, CLASSES)
    method = build_objective("acw_skd", {}, network, CLASSES)
    assert isinstance(control, DeepSupervision)
    assert isinstance(method, AcwSkd)
    assert control.aux_head.weight.shape == method.aux_head.weight.shape
    assert control.settings.aux == method.settings.aux
    loss, terms = control(network, *batch(), 0.0)
    assert value(loss) == pytest.approx(value(terms["seg"]) + 0.4 * value(terms["aux"]))


# BYOT


def test_the_feature_distance_counts_what_either_side_shows() -> None:
    student, target = torch.tensor([1.0, -1.0, -1.0], requires_grad=True), torch.tensor([3.0, -2.0, 1.0])
    assert value(feature_distance(student, target)) == 4 + 0 + 4


def test_byot_weighs_its_terms_as_published() -> None:
    network = build_model("s2d16", 1, CLASSES)
    objective = build_objective("byot", {}, network, CLASSES)
    loss, terms = objective(network, *batch(), 0.0)
    assert isinstance(objective, Byot)
    assert len(objective.heads) == 2  # of three decoder features, the last has the deployed head
    seg, shallow, kd, feature = (value(terms[name]) for name in ("seg", "shallow", "kd", "feature"))
    assert value(loss) == pytest.approx(0.9 * (seg + shallow) + 0.1 * kd + 1e-6 * feature, rel=1e-5)


def test_byot_distils_the_last_logits_into_the_early_heads() -> None:
    sure = 3 * math.log(3)
    network = Fixed(places((sure, 0.0), (0.0, sure)), torch.zeros(1, 1, 1, 2), torch.zeros(1, 2, 1, 2))
    objective = Byot(network, 2, ByotSettings())
    objective.branches[0] = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    nn.init.zeros_(objective.heads[0].weight)
    nn.init.zeros_(objective.heads[0].bias)
    _, terms = objective(network, IMAGE, LABELS, 0.0)
    assert value(terms["kd"]) == pytest.approx(9 * KL, rel=1e-5)


def test_byot_passes_no_gradient_into_what_teaches() -> None:
    torch.manual_seed(0)
    network = build_model("s2d16", 1, CLASSES)
    build_objective("byot", {"alpha": 1.0}, network, CLASSES)(network, *batch(), 0.5)[0].backward()
    assert network.head.weight.grad is None
    assert all(p.grad is None for p in network.merge[-1].parameters())
    assert all(p.grad is not None for p in network.merge[0].parameters())


# DLB


def test_dlb_compares_the_repeated_half_with_its_logits_of_the_step_before() -> None:
    sure = 3 * math.log(3)
    images, labels = torch.zeros(2, 1, 1, 2), LABELS.repeat(2, 1, 1)
    network = Fixed(places((sure, 0.0), (0.0, sure)).repeat(2, 1, 1, 1))
    objective = Dlb(network, 2, DlbSettings(dlb=0.5))
    loss, terms = objective(network, images, labels, 0.0)
    assert value(terms["dlb"]) == 0
    assert value(loss) == value(terms["seg"])
    nn.init.zeros_(network.logits)
    loss, terms = objective(network, images, labels, 0.1)
    assert value(terms["dlb"]) == pytest.approx(9 * KL, rel=1e-5)
    assert value(loss) == pytest.approx(value(terms["seg"]) + 4.5 * KL, rel=1e-5)
    loss.backward()
    assert not any(buffer.requires_grad for buffer in objective.buffers())


# PS-KD


def test_ps_kd_softens_the_labels_with_the_network_of_the_epoch_before() -> None:
    network = Fixed(places((math.log(3), 0.0), (0.0, math.log(3))))
    objective = PsKd(network, 2, PsKdSettings(epochs=4))
    loss, terms = objective(network, IMAGE, LABELS, 0.0)
    assert value(loss) == pytest.approx(value(terms["seg"]), rel=1e-6)  # the first epoch has no past
    objective(network, IMAGE, LABELS, 0.25)  # epoch 1 begins: the network as it stands is the past
    nn.init.zeros_(network.logits)
    loss, terms = objective(network, IMAGE, LABELS, 0.49)  # still epoch 1: a_t = .8 * 2 / 4
    even = math.log(2)
    assert value(terms["hard"]) == pytest.approx(even, rel=1e-6)
    assert value(terms["soft"]) == pytest.approx(even, rel=1e-6)
    with torch.no_grad():
        network.logits.copy_(places((1.0, 0.0), (0.0, 1.0)))
    loss, terms = objective(network, IMAGE, LABELS, 0.49)
    right, wrong = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    assert value(terms["soft"]) == pytest.approx(0.75 * right + 0.25 * wrong, rel=1e-5)
    assert value(loss) == pytest.approx(value(terms["seg"]) + 0.4 * (value(terms["soft"]) - right), rel=1e-5)


def test_the_past_network_is_renewed_at_the_beginning_of_an_epoch_only() -> None:
    network = build_model("s2d16", 1, CLASSES)
    objective = PsKd(network, CLASSES, PsKdSettings(epochs=2))

    def past() -> Tensor:
        return objective.past.state_dict()["head.weight"].clone()

    first = past()
    for progress, renewed in ((0.0, False), (0.4, False), (0.5, True), (0.9, False), (1.0, False)):
        nn.init.normal_(network.head.weight)
        objective(network, *batch(), progress)
        assert torch.equal(past(), network.head.weight) == renewed
    assert not torch.equal(past(), first)


def test_a_frozen_copy_answers_as_its_network_and_has_no_parameters() -> None:
    network = build_model("s2d16", 1, CLASSES).eval()
    twin = frozen_copy(network)
    assert not list(twin.parameters())
    assert twin.state_dict().keys() == network.state_dict().keys()
    images, _ = batch()
    assert torch.equal(twin(images), network(images))
    storages = {one.data_ptr() for one in network.state_dict().values()}
    assert not storages & {one.data_ptr() for one in twin.state_dict().values()}


def test_an_impossible_number_of_epochs_is_refused() -> None:
    with pytest.raises(UsageError, match="epochs 0; allowed: 1 or more"):
        PsKdSettings(epochs=0)


# FRSKD


def test_the_attention_gap_is_the_mean_square_of_normalised_attention() -> None:
    one_place, both = places((1.0, 1.0), (0.0, 0.0)), places((2.0,), (2.0,))
    assert value(attention_gap(one_place, both)) == pytest.approx(((1 - 0.5**0.5) ** 2 + 0.5) / 2, rel=1e-5)


def test_frskd_distils_in_the_last_third_of_training() -> None:
    assert [late_rise(p, 2 / 3) for p in (0.0, 0.6, 1.0)] == [0.0, 0.0, 1.0]
    assert late_rise(5 / 6, 2 / 3) == pytest.approx(math.exp(-5 / 4))
    torch.manual_seed(0)
    network = build_model("s2d16", 1, CLASSES)
    objective = build_objective("frskd", {}, network, CLASSES)
    for progress, on in ((0.5, 0.0), (1.0, 1.0)):
        loss, terms = objective(network, *batch(), progress)
        seg, teacher, kd, attention = (value(terms[name]) for name in ("seg", "teacher", "kd", "attention"))
        assert value(loss) == pytest.approx(seg + teacher + on * (kd + 50 * attention), rel=1e-5)


def test_the_self_teacher_is_not_taught_by_its_student() -> None:
    def gradients(progress: float) -> list[Tensor]:
        torch.manual_seed(0)
        network = build_model("s2d16", 1, CLASSES)
        objective = build_objective("frskd", {}, network, CLASSES)
        objective(network, *batch(), progress)[0].backward()
        return [p.grad for p in objective.parameters() if p.grad is not None]

    off, on = gradients(0.0), gradients(1.0)
    assert len(off) == len(on) > 0
    assert all(torch.equal(a, b) for a, b in zip(off, on, strict=True))


def test_every_part_of_the_self_teacher_learns() -> None:
    torch.manual_seed(0)
    network = build_model("s2d16", 1, CLASSES)
    objective = build_objective("frskd", {}, network, CLASSES)
    assert isinstance(objective, Frskd)
    objective(network, *batch(), 0.0)[0].backward()
    assert all(p.grad is not None for p in objective.parameters())


@pytest.mark.parametrize("name", ["byot", "frskd"])
def test_a_network_that_shows_one_feature_is_refused(name: str) -> None:
    network = Fixed(torch.zeros(1, 2, 1, 2), torch.zeros(1, 1, 1, 2))
    with pytest.raises(UsageError, match=f"{name} on a network that shows one feature"):
        build_objective(name, {}, network, 2)


def test_a_setting_of_the_wrong_kind_is_refused() -> None:
    network = build_model("s2d16", 1, CLASSES)
    for settings, says in (
        ({"alpha": "much"}, "byot: alpha = 'much'; allowed: a value of type float"),
        ({"alpha": True}, "byot: alpha = True; allowed: a value of type float"),
    ):
        with pytest.raises(ContractError, match=says):
            build_objective("byot", settings, network, CLASSES)
