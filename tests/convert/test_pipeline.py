"""RUN -> bundle, on the real tools but the quickest target."""

from __future__ import annotations

import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from acwskd_edge.bundle import open_bundle
from acwskd_edge.data import cases_in
from acwskd_edge.errors import DataError, GateError, RefusedError, TamperedError, UsageError
from acwskd_edge.files import only_writer
from acwskd_edge.verify import verify
from convert.basis import Basis, Settings
from convert.pipeline import convert


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """The tiny run, free to be changed."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def onnx(*precisions: str, **options: object) -> Settings:
    return Settings(["onnx"], list(precisions or ("fp32",)), ["tensor"], **{"max_dice_drop": 1.0, **options})  # type: ignore[arg-type]


def test_a_bundle_opens_and_verifies(run: Path) -> None:
    bundle = open_bundle(convert(run, onnx("fp32", "fp16")))
    assert [one.id for one in bundle.artefacts] == ["onnx-fp32", "onnx-fp16"]
    assert {one.state for one in verify(bundle)} == {"ok"}
    entry = bundle.measured(bundle.artefacts[0])
    assert entry["argmax_agreement"] >= 0.9999
    assert entry["max_logit_error"] <= 1e-3
    assert bundle.report["gate"]["split"] == "val"
    assert set(entry["dice_change"]) == {"mean", *(label.name for label in bundle.contract.labels[1:])}


def test_a_second_conversion_adds_and_repeats_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(run, onnx())
    before = (run / "bundle/onnx/model.fp32.onnx").read_bytes()
    convert(run, onnx("fp32", "fp16"))
    printed = capsys.readouterr().out
    assert "onnx-fp32          up to date (passed)" in printed
    assert (run / "bundle/onnx/model.fp32.onnx").read_bytes() == before
    assert len(open_bundle(run).artefacts) == 2


def test_a_refused_artefact_stays_outside_and_the_rest_lands(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import convert.targets.onnx as target

    honest = target.emit

    def sabotage(job):  # type: ignore[no-untyped-def]
        if job.precision == "fp16":
            job = replace(job, network=deepcopy(job.network), shared={})
            job.network.head.bias.data[0] += 50  # everything becomes background
        return honest(job)

    monkeypatch.setattr(target, "emit", sabotage)
    with pytest.raises(
        GateError, match=r"1 artefact\(s\) refused: onnx-fp16 \(class .* worst in case .*--precision fp32"
    ):
        convert(run, onnx("fp32", "fp16", max_dice_drop=0.01))
    bundle = open_bundle(run)
    assert [one.id for one in bundle.artefacts] == ["onnx-fp32"]
    assert (run / "rejected/onnx-model.fp16.onnx.rejected").is_file()
    assert bundle.report["artefacts"][1]["verdict"] == "rejected"
    monkeypatch.undo()
    with pytest.raises(GateError, match="refused"):  # and it stays refused until something changes
        convert(run, onnx("fp32", "fp16", max_dice_drop=0.01))


def test_a_failed_conversion_leaves_the_bundle_that_was_there(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import convert.targets.onnx as target

    convert(run, onnx())
    before = {one: one.read_bytes() for one in (run / "bundle").rglob("*") if one.is_file()}

    def die(_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(target, "emit", die)
    with pytest.raises(KeyboardInterrupt):
        convert(run, onnx("fp16"))
    assert {one: one.read_bytes() for one in (run / "bundle").rglob("*") if one.is_file()} == before
    assert not [one for one in run.iterdir() if one.name.startswith(".bundle")]


def test_two_conversions_at_once_are_refused(run: Path) -> None:
    with only_writer(run), pytest.raises(RefusedError, match="another command is writing"):
        convert(run, onnx())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("change", "onnx/model.fp32.onnx was changed"),
        ("remove", "report.json is missing"),
        ("add", "extra was added"),
        ("manifest", "malformed"),
    ],
)
def test_a_tampered_bundle_is_refused(run: Path, damage: str, says: str) -> None:
    bundle = convert(run, onnx())
    if damage == "change":
        with (bundle / "onnx/model.fp32.onnx").open("r+b") as stream:
            stream.seek(1000)
            stream.write(b"\xff")
    elif damage == "remove":
        (bundle / "report.json").unlink()
    elif damage == "add":
        (bundle / "extra").write_text("")
    else:
        (bundle / "manifest.json").write_text('{"schema": 1}')
    with pytest.raises(TamperedError, match=says):
        open_bundle(bundle)


def test_a_wrong_golden_vector_says_preprocessing(run: Path) -> None:
    import numpy as np

    from acwskd_edge.bundle import Artefact, seal

    bundle = convert(run, onnx())
    opened = open_bundle(bundle)
    name = opened.golden()[0].name
    image = np.load(bundle / "golden" / name / "image.npy")
    np.save(bundle / "golden" / name / "image.npy", image + 9)
    seal(bundle, [Artefact(**vars(one)) for one in opened.artefacts])
    states = {one.name: one.state for one in verify(open_bundle(bundle))}
    assert states["preprocessing"] == "FAILED"
    assert states["onnx-fp32"] == "ok"


def test_data_of_another_split_is_refused(run: Path, flare_folder: Path) -> None:
    with pytest.raises(DataError, match=r"not the data .* was trained on"):
        convert(run, onnx(data=f"flare22:{flare_folder}"))


def test_an_unfinished_run_is_refused(run: Path) -> None:
    (run / "validation.json").unlink()
    with pytest.raises(UsageError, match="not a finished run; next: rerun"):
        convert(run, onnx())
    with pytest.raises(UsageError, match="no run folder"):
        convert(run / "absent", onnx())


def test_damaged_weights_are_refused_and_nothing_is_written(run: Path) -> None:
    (run / "best.safetensors").write_bytes(b"junk")
    with pytest.raises(UsageError, match="is damaged"):
        convert(run, onnx())
    assert not (run / "bundle").exists()


def test_calibration_comes_from_training_cases(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Basis(run, onnx())
    asked: list[str] = []
    load = work.data.load
    monkeypatch.setattr(work.data, "load", lambda one: asked.append(one) or load(one))
    assert {one.case for one in work.calibration.slices} <= set(cases_in(work.data, "train"))
    assert set(asked) == set(work.data.ids())  # the held-out only to be compared with


def test_another_gate_judges_again_without_emitting_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import convert.targets.onnx as target

    convert(run, onnx("fp32", "fp16"))
    golden = [one.name for one in open_bundle(run).golden()]
    monkeypatch.delattr(target, "emit")
    bundle = open_bundle(convert(run, onnx("fp32", max_dice_drop=0.5)))
    assert [one.id for one in bundle.artefacts] == ["onnx-fp32", "onnx-fp16"]
    assert bundle.report["gate"]["max_dice_drop"] == 0.5
    assert [one.name for one in bundle.golden()] == golden
