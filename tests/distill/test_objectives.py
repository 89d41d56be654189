from __future__ import annotations

import pytest
import torch
from objective_contract import CLASSES, ObjectiveContract, batch

from acwskd_edge.distill import build_objective
from acwskd_edge.distill.acw_skd import AcwSkd, AcwSkdSettings, coarse_dice, cosine_rise
from acwskd_edge.errors import ContractError, UsageError
from acwskd_edge.models import build_model


class TestPlain(ObjectiveContract):
    name = "plain"


class TestAcwSkd(ObjectiveContract):
    name = "acw_skd"


class TestAcwSkdMapForm(ObjectiveContract):
    name = "acw_skd"
    settings = {"form": "map"}  # noqa: RUF012


class TestAcwSkdPreviousBatch(ObjectiveContract):
    name = "acw_skd"
    settings = {"stage": "previous"}  # noqa: RUF012


class TestAcwSkdDetached(ObjectiveContract):
    name = "acw_skd"
    settings = {"detached": True}  # noqa: RUF012


def objective(**settings: object) -> tuple[torch.nn.Module, AcwSkd]:
    torch.manual_seed(0)
    network = build_model("s2d16", 1, CLASSES)
    built = build_objective("acw_skd", settings, network, CLASSES)
    assert isinstance(built, AcwSkd)
    torch.nn.init.normal_(built.frm.outer.weight, std=0.1)  # away from the identity, so that there is a distance
    return network, built


ALONE = dict.fromkeys(
    ("aux", "reconstruct", "penultimate", "class_wise", "inter_class", "class_label", "adversarial"), 0.0
)


@pytest.mark.parametrize("term", ALONE)
def test_each_term_can_be_switched_off(term: str) -> None:
    network, built = objective(**{term: 0.0, "ramp_end": 0.0})
    loss, terms = built(network, *batch(), 1.0)
    weights = {"seg": 1.0} | {name: getattr(built.settings, name) for name in ALONE}
    assert loss.item() == pytest.approx(sum(weights[name] * float(terms[name]) for name in weights), rel=1e-5)
    assert weights[term] == 0


def test_the_student_lowers_the_adversarial_term_and_the_temperature_raises_it() -> None:
    def gradients(weight: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        network, built = objective(**{**ALONE, "adversarial": weight, "ramp_end": 0.0, "reversal_end": 0.0})
        loss, terms = built(network, *batch(), 1.0)
        loss.backward()
        assert network.head.weight.grad is not None
        theta = built.temperature.theta.grad
        return terms["adversarial"], network.head.weight.grad, torch.zeros(()) if theta is None else theta

    def after(head_step: torch.Tensor | float, theta_step: torch.Tensor | float) -> float:
        network, built = objective(**{**ALONE, "adversarial": 1.0})
        with torch.no_grad():
            network.head.weight -= head_step
            built.temperature.theta -= theta_step
            return float(built(network, *batch(), 1.0)[1]["adversarial"])

    before, with_term, theta = gradients(1.0)
    _, without, _ = gradients(0.0)
    assert after(0.01 * (with_term - without), 0.0) < float(before)
    assert after(0.0, 0.1 * theta.sign()) > float(before)


@pytest.mark.parametrize("term", ["penultimate", "adversarial", "class_wise", "inter_class"])
def test_no_gradient_reaches_the_objective_it_is_taught_by(term: str) -> None:
    network, built = objective(**{**ALONE, term: 1.0, "ramp_end": 0.0})
    built(network, *batch(), 1.0)[0].backward()
    for module in (built.frm, built.head, built.class_frm, built.class_head, built.aux_head):
        assert all(p.grad is None or not p.grad.abs().any() for p in module.parameters())


@pytest.mark.parametrize("term", ["reconstruct", "class_label"])
def test_building_a_detached_objective_does_not_shape_the_students_features(term: str) -> None:
    shaped = {}
    for detached in (False, True):
        gradients = []
        for weight in (0.0, 1.0):
            network, built = objective(**{**ALONE, term: weight, "detached": detached})
            built(network, *batch(), 1.0)[0].backward()
            gradients.append([one.grad.clone() for one in network.parameters() if one.grad is not None])
        shaped[detached] = any(not torch.equal(*pair) for pair in zip(*gradients, strict=True))
    assert shaped == {False: True, True: False}


def test_coarse_masks_pass_no_gradient_to_the_auxiliary_head() -> None:
    network, built = objective(**{**ALONE, "reconstruct": 1.0})
    built(network, *batch(), 1.0)[0].backward()
    assert built.aux_head.weight.grad is None


def test_what_a_frm_reads_and_the_features_gradient_are_channels_last_as_convolutions_want_them() -> None:
    network, function = objective()
    network.to(memory_format=torch.channels_last)
    found = {}

    def look(frm: torch.nn.Module, given: tuple[torch.Tensor, torch.Tensor]) -> None:
        feature, found["context"] = given
        feature.register_hook(lambda gradient: found.update(gradient=gradient))

    function.frm.register_forward_pre_hook(look)
    images, labels = batch()
    function(network, images.contiguous(memory_format=torch.channels_last), labels, 1.0)[0].backward()
    for one in found.values():
        assert one.is_contiguous(memory_format=torch.channels_last)


def test_class_vectors_are_the_masked_means() -> None:
    _, built = objective()
    feature = torch.randn(2, 16, 8, 8)
    coarse = torch.zeros(2, CLASSES, 8, 8)
    coarse[:, 0], coarse[:, 1, :4], coarse[:, 0, :4] = 1, 1, 0
    vectors = built.class_wise(feature, coarse)
    assert torch.allclose(vectors[:, 1], feature[:, :, :4].mean(dim=(2, 3)), atol=1e-4)
    assert not vectors[:, 2:].any()


def test_absent_classes_and_background_are_left_out() -> None:
    _, built = objective()
    # 2 is in the truth but not found, 3 is found but not in the truth.
    truth = torch.tensor([0.25, 0.25, 0.5, 0.0]).reshape(1, CLASSES, 1, 1)
    coarse = torch.tensor([0.4, 0.3, 0.0, 0.3]).reshape(1, CLASSES, 1, 1)
    assert built.present(truth, coarse).tolist() == [[False, True, False, False]]


def test_the_previous_batch_teaches_its_repeated_half_what_was_built_then() -> None:
    network, built = objective(**{**ALONE, "adversarial": 1.0, "ramp_end": 0.0, "stage": "previous"})
    _, first = built(network, *batch(), 1.0)
    assert float(first["adversarial"]) == 0  # nothing to repeat yet
    assert built.repeat is not None
    built.repeat.get_buffer("logits").zero_()
    loss, terms = built(network, *batch(1), 1.0)
    loss.backward()
    assert float(terms["adversarial"]) > 0
    assert built.head.weight.grad is None


def test_dice_of_the_student_and_its_objective_are_logged_side_by_side() -> None:
    labels = torch.tensor([[[0, 1], [2, 2]]])
    logits = torch.nn.functional.one_hot(torch.tensor([[[0, 1], [2, 0]]]), CLASSES).permute(0, 3, 1, 2).float()
    assert float(coarse_dice(logits, labels)) == pytest.approx((1 + 2 / 3) / 2)
    network, built = objective()
    _, terms = built(network, *batch(), 1.0)
    assert {"health/dice_main", "health/dice_objective", "health/norm_feature", "reversal"} <= terms.keys()


def test_temperature_stays_in_its_range() -> None:
    _, built = objective(t_min=1.0, t_max=4.0)
    with torch.no_grad():
        for theta in (-50.0, 0.0, 50.0):
            built.temperature.theta.fill_(theta)
            assert 1.0 <= float(built.temperature(1.0)) <= 4.0
    assert [cosine_rise(p, 0.5) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0, 0.5, 1, 1])


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="allowed: vector, map"):
        AcwSkdSettings(form="tensor")
    with pytest.raises(UsageError, match="allowed: depth, previous"):
        AcwSkdSettings(stage="next")
    with pytest.raises(UsageError, match="0 < t_min < t_max"):
        AcwSkdSettings(t_min=4, t_max=1)
    with pytest.raises(ContractError, match="has no setting gamma; allowed: adversarial"):
        build_objective("acw_skd", {"gamma": 1}, build_model("s2d16", 1, 2), 2)
    with pytest.raises(UsageError, match="allowed: plain, acw_skd"):
        build_objective("magic", {}, build_model("s2d16", 1, 2), 2)
