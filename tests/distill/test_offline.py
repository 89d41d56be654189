from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixed import Fixed, places
from objective_contract import CLASSES, OfflineContract, batch, contract_of
from torch import Tensor, nn

from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.distill import build_objective
from acwskd_edge.distill.cirkd import Cirkd, CirkdSettings, Queue, relation, rows
from acwskd_edge.distill.ctkd import Ctkd, CtkdSettings
from acwskd_edge.distill.cwd import Cwd, CwdSettings, channel_wise
from acwskd_edge.distill.emkd import Emkd, EmkdSettings, importance
from acwskd_edge.distill.ifvd import Ifvd, IfvdSettings, variation
from acwskd_edge.distill.kd import Kd, KdSettings
from acwskd_edge.distill.losses import segmentation_loss
from acwskd_edge.distill.mgd import Mgd, MgdSettings
from acwskd_edge.errors import ContractError, UsageError
from acwskd_edge.models import build_model


class TestKd(OfflineContract):
    name = "kd"


class TestCwd(OfflineContract):
    name = "cwd"


class TestCirkd(OfflineContract):
    name = "cirkd"
    settings = {"pixel_memory": 50, "region_memory": 3}  # noqa: RUF012 - small, so that they wrap around


class TestCtkd(OfflineContract):
    name = "ctkd"


class TestEmkd(OfflineContract):
    name = "emkd"


class TestIfvd(OfflineContract):
    name = "ifvd"


class TestMgd(OfflineContract):
    name = "mgd"


IMAGE = torch.zeros(1, 1, 1, 2)
LABELS = torch.tensor([[[0, 1]]])
KL = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # of (3/4, 1/4) against (1/2, 1/2)


def value(loss: Tensor) -> float:
    return float(loss.detach())


def test_kd_is_the_tempered_divergence_per_pixel() -> None:
    sure = 2 * math.log(3)  # at T = 2: (3/4, 1/4)
    student, teacher = Fixed(torch.zeros(1, 2, 1, 2)), Fixed(places((sure, 0.0), (0.0, sure)))
    loss, terms = Kd(student, 2, KdSettings(kd=0.5, temperature=2.0), teacher)(student, IMAGE, LABELS, 0.0)
    assert value(terms["kd"]) == pytest.approx(4 * KL, rel=1e-6)
    assert value(loss) == pytest.approx(value(segmentation_loss(student.logits, LABELS)) + 2 * KL, rel=1e-6)


def test_cwd_compares_where_each_channel_is() -> None:
    sure = 4 * math.log(3)
    student = Fixed(torch.zeros(1, 2, 1, 2))
    teacher = Fixed(places((sure, 7.0), (0.0, 7.0)))  # channel 0 is at the first place, channel 1 everywhere
    loss, terms = Cwd(student, 2, CwdSettings(), teacher)(student, IMAGE, LABELS, 0.0)
    assert value(terms["cwd"]) == pytest.approx(16 * KL / 2, rel=1e-5)
    assert value(loss) == pytest.approx(value(terms["seg"]) + 3 * 16 * KL / 2, rel=1e-5)
    assert value(channel_wise(student.logits + 5, student.logits, 4.0)) == pytest.approx(0, abs=1e-6)


def test_the_variation_inside_a_class_is_the_cosine_to_its_mean() -> None:
    feature = places((1.0, 0.0), (0.0, 1.0))
    assert variation(feature, torch.tensor([[[1, 1]]]), 2)[0].tolist() == pytest.approx([0.5**0.5] * 2)
    assert variation(feature, torch.tensor([[[0, 1]]]), 2)[0].tolist() == pytest.approx([1, 1])


def test_ifvd_is_the_squared_difference_of_variations() -> None:
    same = torch.tensor([[[1, 1]]])
    student = Fixed(torch.zeros(1, 2, 1, 2), places((1.0, 0.0), (0.0, 1.0)))
    teacher = Fixed(places((math.log(3), 0.0), (math.log(3), 0.0)), places((1.0, 1.0), (2.0, 2.0)))
    loss, terms = Ifvd(student, 2, IfvdSettings(), teacher)(student, IMAGE, same, 0.0)
    gap = (1 - 0.5**0.5) ** 2
    assert value(terms["ifv"]) == pytest.approx(gap, rel=1e-5)
    assert value(terms["kd"]) == pytest.approx(KL / 2, rel=1e-5)
    assert value(loss) == pytest.approx(value(terms["seg"]) + 10 * KL / 2 + 200 * gap, rel=1e-5)


def test_importance_is_the_distance_of_normalised_attention() -> None:
    one_place, both = places((1.0, 1.0), (0.0, 0.0)), places((2.0,), (2.0,))
    assert value(importance(one_place, both)) == pytest.approx((1 - 0.5**0.5) ** 2 + 0.5, rel=1e-5)


def test_emkd_adds_prediction_importance_and_affinity_at_two_depths() -> None:
    apart, alike = places((1.0, 0.0), (0.0, 1.0)), places((1.0, 0.0), (1.0, 0.0))  # class cosines 0 and 1
    student = Fixed(torch.zeros(1, 3, 1, 2), apart, apart)  # class 2 is absent and forms no pair
    sure = 4 * math.log(3)
    teacher = Fixed(places((sure, 0.0, -1e4), (0.0, sure, -1e4)), alike, apart)
    loss, terms = Emkd(student, 3, EmkdSettings(), teacher)(student, IMAGE, LABELS, 0.0)
    divergence = 0.75 * math.log(0.75 * 3) + 0.25 * math.log(0.25 * 3)
    assert value(terms["pmd"]) == pytest.approx(16 * divergence, rel=1e-5)
    assert value(terms["imd"]) == pytest.approx(0, abs=1e-6)
    assert value(terms["rad"]) == pytest.approx(1, rel=1e-5)
    assert value(loss) == pytest.approx(value(terms["seg"]) + 0.1 * 16 * divergence + 0.9, rel=1e-5)


def test_mgd_is_the_squared_error_of_what_the_unmasked_places_generate() -> None:
    student = Fixed(torch.zeros(1, 2, 1, 2), places((1.0,), (2.0,)))
    teacher = Fixed(torch.zeros(1, 2, 1, 2), places((3.0,), (5.0,)))

    def term(masked: float) -> float:
        objective = Mgd(student, 2, MgdSettings(masked=masked), teacher)
        objective.generation = nn.Sequential(nn.Identity())
        loss, terms = objective(student, IMAGE, LABELS, 0.0)
        assert value(loss) == pytest.approx(value(terms["seg"]) + 2e-5 * value(terms["mgd"]), rel=1e-6)
        return value(terms["mgd"])

    assert term(0.0) == pytest.approx(4 + 9)
    assert term(1.0) == pytest.approx(9 + 25)


def test_mgd_hides_the_share_it_is_told() -> None:
    student = Fixed(torch.zeros(1, 2, 64, 64), torch.ones(1, 2, 64, 64))
    teacher = Fixed(torch.zeros(1, 2, 64, 64), torch.zeros(1, 2, 64, 64))
    objective = Mgd(student, 2, MgdSettings(), teacher)
    objective.generation = nn.Sequential(nn.Identity())
    torch.manual_seed(0)
    _, terms = objective(student, torch.zeros(1, 1, 64, 64), torch.zeros(1, 64, 64, dtype=torch.int64), 0.0)
    assert value(terms["mgd"]) / (2 * 64 * 64) == pytest.approx(0.25, abs=0.02)


def test_ctkd_starts_at_its_temperature_and_the_temperature_works_against_the_student() -> None:
    student, teacher = Fixed(torch.zeros(1, 2, 1, 2)), Fixed(places((9.0, 0.0), (0.0, 9.0)))
    objective = Ctkd(student, 2, CtkdSettings(), teacher)
    loss, terms = objective(student, IMAGE, LABELS, 1.0)
    start = 1 + 20 / (1 + math.exp(-1))
    assert value(terms["temperature"]) == pytest.approx(start, rel=1e-6)
    share = 1 / (1 + math.exp(-9 / start))
    divergence = share * math.log(2 * share) + (1 - share) * math.log(2 * (1 - share))
    assert value(terms["kd"]) == pytest.approx(start**2 * divergence, rel=1e-4)
    assert value(loss) == pytest.approx(0.1 * value(terms["seg"]) + 0.9 * value(terms["kd"]), rel=1e-6)
    loss.backward()
    theta = objective.temperature.theta
    assert theta.grad is not None
    with torch.no_grad():
        theta -= 0.1 * theta.grad.sign()
        assert value(objective(student, IMAGE, LABELS, 1.0)[1]["kd"]) > value(terms["kd"])
    with pytest.raises(UsageError, match="0 < t_min < t_max"):
        CtkdSettings(t_min=5.0, t_max=5.0)


def test_a_relation_is_the_divergence_of_softened_cosines() -> None:
    apart, alike = rows(places((1.0, 0.0), (0.0, 2.0))), rows(places((3.0,), (1.0,)))
    # At T = 1 / ln 3 a student's row is (3/4, 1/4); the teacher's are even.
    expected = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert value(relation(apart, alike, apart, alike, 1 / math.log(3))) == pytest.approx(expected, rel=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert value(relation(apart, alike, apart, alike, 1 / math.log(3))) == pytest.approx(expected, rel=1e-5)


def test_cirkd_weighs_its_terms_as_published() -> None:
    student = Fixed(torch.zeros(1, 2, 1, 2), places((1.0, 0.0), (0.0, 2.0)))
    teacher = Fixed(places((math.log(3), 0.0), (math.log(3), 0.0)), places((3.0,), (1.0,)))
    objective = Cirkd(student, 2, CirkdSettings(pixel_memory=8, region_memory=4), teacher)
    loss, terms = objective(student, IMAGE, LABELS, 0.0)
    seg, kd, mini_batch, pixel, region = (value(terms[name]) for name in ("seg", "kd", "mini_batch", "pixel", "region"))
    assert kd == pytest.approx(KL, rel=1e-5)
    assert value(loss) == pytest.approx(seg + kd + mini_batch + 0.1 * (pixel + region), rel=1e-5)
    assert objective.pixels.place.tolist() == objective.regions.place.tolist() == [1, 1]
    assert objective.pixels.vectors[:, 0].flatten().tolist() == pytest.approx([1, 1])


def test_a_queue_keeps_the_last_vectors_of_a_class() -> None:
    queue = Queue(2, 3, 1)
    other = queue.vectors[0].clone()
    for number in (1.0, 2.0, 3.0, 4.0):
        queue.push(1, torch.tensor([[number]]))
    assert queue.vectors[1].flatten().tolist() == [4, 2, 3]
    assert torch.equal(queue.vectors[0], other)
    assert queue.sample(2).shape == (1, 4, 1)


@pytest.mark.parametrize("name", ["kd", "cwd", "cirkd", "ctkd", "emkd", "ifvd", "mgd"])
def test_a_teacher_is_needed_and_must_have_finished(name: str, tmp_path: Path) -> None:
    network = build_model("s2d16", 1, CLASSES)
    with pytest.raises(UsageError, match=r"needs a teacher; .*next: --set objective\.teacher=runs/unet"):
        build_objective(name, {}, network, CLASSES)
    with pytest.raises(UsageError, match=r"teacher .* is not a finished run; next: python -m train"):
        build_objective(name, {"teacher": str(tmp_path)}, network, CLASSES)
    with pytest.raises(ContractError, match="teacher = 3; allowed: a value of type str"):
        build_objective(name, {"teacher": 3}, network, CLASSES)


def renamed(contract: Contract) -> Contract:
    return replace(contract, labels=(*contract.labels[:-1], Label(CLASSES - 1, "spleen", (1, 2, 3))))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (renamed, "labels 0 class0, 1 class1, 2 class2, 3 class3, the student 0 class0, 1 class1, 2 class2, 3 spleen"),
        (
            lambda one: replace(one, channels=3, intensity=Intensity(0, 255, (1.0,) * 3, (1.0,) * 3)),
            "input channels 1, the student 3",
        ),
        (lambda one: replace(one, intensity=Intensity(0, 255, (1.0,), (1.0,))), "intensity rule .*the student"),
    ],
)
def test_a_teacher_of_other_labels_or_inputs_is_refused(
    teacher_run: Callable[[int], Path], change: Callable[[Contract], Contract], says: str
) -> None:
    network, settings = build_model("s2d16", 1, CLASSES), {"teacher": str(teacher_run(CLASSES))}
    build_objective("kd", settings, network, CLASSES, contract_of(CLASSES))
    with pytest.raises(ContractError, match=says):
        build_objective("kd", settings, network, CLASSES, change(contract_of(CLASSES)))


def test_without_a_contract_the_number_of_classes_is_compared(teacher_run: Callable[[int], Path]) -> None:
    with pytest.raises(ContractError, match=f"classes {CLASSES}, the student 2"):
        build_objective("kd", {"teacher": str(teacher_run(CLASSES))}, build_model("s2d16", 1, 2), 2)


@pytest.mark.parametrize("name", ["cirkd", "emkd", "ifvd", "mgd"])
def test_student_and_teacher_may_have_other_widths_and_grids(name: str, teacher_run: Callable[[int], Path]) -> None:
    torch.manual_seed(0)
    network = build_model("unet16", 1, CLASSES)
    settings: dict[str, Any] = {"teacher": str(teacher_run(CLASSES))}
    loss, _ = build_objective(name, settings, network, CLASSES)(network, *batch(), 0.5)
    assert torch.isfinite(loss)


def test_a_recipe_names_its_teacher(tiny_run: Path, tmp_path: Path) -> None:
    from train.loop import train
    from train.recipe import load_recipe

    changes = {"objective.name": "kd", "objective.teacher": str(tiny_run), "data": f"flare22:{tiny_run.parent}/data"}
    changes |= {"size": 32, "steps": 2, "batch": 2, "threads": 1}
    run = train(load_recipe("plain", changes), tmp_path / "run")
    assert (run / "validation.json").exists()
    assert '"kd"' in (run / "metrics.jsonl").read_text()
