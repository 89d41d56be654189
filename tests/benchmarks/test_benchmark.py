from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bench_toys import Measure, Toy, make_run, row

import benchmarks
from acwskd_edge.contract import Label
from acwskd_edge.errors import DataError, TamperedError, UsageError
from benchmarks.__main__ import main
from benchmarks.table import HEADERS

SCHEMA = json.loads((Path(benchmarks.__file__).parent / "report.schema.json").read_text())


def check_schema(report: dict[str, Any]) -> None:
    """report.json is what its published schema says."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(report, SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.mark.slow
def test_a_report_holds_every_row_and_its_page_needs_nothing_else(
    tmp_path: Path, acdc_folder: Path, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    toys = (
        Toy(),
        Toy("int8", rejected=True, dice=0.1),
        Toy("fp16", runtime="coreml-program"),
        Toy("fp16", seconds=0.004),
    )
    student = make_run(tmp_path / "stu<d>ent", acdc_folder, model="s2d16", toys=toys)
    baseline = make_run(tmp_path / "unet", acdc_folder, toys=(Toy(seconds=0.012),), dice=0.9)
    report = measure([student], baseline)
    screen = capsys.readouterr().out

    check_schema(report)
    assert [one["artefact"] for one in report["rows"]] == [
        *("checkpoint", "toy-fp32", "toy-int8", "coreml-fp16", "toy-fp16"),
        *("checkpoint", "toy-fp32"),
    ]
    fast = row(report, "stu<d>ent/toy-fp32")["speedup"]
    assert fast["same_precision"]["against"] == fast["fp32"]["against"] == "unet/toy-fp32"
    assert fast["same_precision"]["ratio"] > 2
    half = row(report, "stu<d>ent/toy-fp16")["speedup"]
    assert half["same_precision"] is None
    assert 1 < half["fp32"]["ratio"] < fast["fp32"]["ratio"]
    assert row(report, "unet/toy-fp32")["speedup"] == {"same_precision": None, "fp32": None}
    apple, refused = row(report, "stu<d>ent/coreml-fp16"), row(report, "stu<d>ent/toy-int8")
    assert apple["latency"] is refused["latency"] is None
    assert apple["not_timed"].startswith("not on ")
    assert refused["reasons"]
    assert {one["name"]: one["parameters"] for one in report["subjects"]}["unet"] == 486_436
    check_screen(screen)
    check_page((student / "report" / "index.html").read_text(), report)


def check_screen(screen: str) -> None:
    """Aligned, narrow, ends with the page, hides no refusal."""
    lines = screen.splitlines()
    assert lines[0].split() == " ".join(HEADERS).split()
    assert max(len(line) for line in lines[:8]) <= 120
    assert lines[-1].endswith("index.html")
    assert any(line.startswith("REJECTED stu<d>ent/toy-int8: class") for line in lines)


def check_page(html: str, report: dict[str, Any]) -> None:
    """Self-contained, escaped, accessible."""
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", html)
    assert not re.search(r"url\((?!#)|@import|<script|<link", html)
    assert "stu<d>ent" not in html
    assert "<b>worst</b>" not in html
    assert "stu&lt;d&gt;ent" in html
    assert all(' alt="' in tag for tag in re.findall(r"<img[^>]*>", html))
    assert len(re.findall(r"<img", html)) >= 2 * 4
    assert html.count("<table>") == html.count("<caption>") == html.count('class="scroll"')
    assert html.count('aria-label="') >= html.count('role="region"') > 4
    assert 'scope="col"' in html
    assert 'scope="row"' in html
    assert "REJECTED" in html
    assert "not on Linux" in html or sys.platform != "linux"
    assert "7 steps" in html
    assert "Not run on a phone or a Jetson" in html
    assert len(report["headlines"]) == 3  # network, whole way, refusals


@pytest.mark.slow
def test_a_finished_report_is_recognised_until_something_changes(
    tmp_path: Path, acdc_folder: Path, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "one", acdc_folder)
    first = measure([run], run)
    table = capsys.readouterr().out.splitlines()
    assert measure([run], run) == first
    again = capsys.readouterr().out.splitlines()
    assert again[:-2] == table[:-1]
    assert again[-2].startswith("up to date")
    assert measure([run], run, runs=12)["key"] != first["key"]
    assert [one["name"] for one in first["subjects"]] == ["one", "one 2"]
    assert 0.4 < row(first, "one/toy-fp32")["speedup"]["same_precision"]["ratio"] < 2.5


@pytest.mark.slow
def test_another_split_is_measured_on_the_artefacts_themselves(
    tmp_path: Path, acdc_folder: Path, measure: Measure
) -> None:
    run = make_run(tmp_path / "one", acdc_folder, toys=(Toy(), Toy("int8", rejected=True)))
    report = measure([run], run, split="test")
    assert report["data"] == {
        "kind": "acdc",
        "split": "test",
        "cases": ["patient004_frame01", "patient004_frame12"],
    }
    assert row(report, "one/toy-fp32")["dice"]["mean"] == 0.0  # the toy finds nothing, whatever the gate once said
    assert row(report, "one/toy-int8")["dice"] is None


@pytest.mark.slow
def test_a_bare_bundle_has_no_checkpoint_row_and_its_report_lies_outside(
    tmp_path: Path, acdc_folder: Path, measure: Measure
) -> None:
    run = make_run(tmp_path / "one", acdc_folder)
    bundle = run / "bundle"
    report = measure([bundle], run)
    assert [one["id"] for one in report["rows"]] == ["unet8-toy/toy-fp32", "one/checkpoint", "one/toy-fp32"]
    html = (run / "bundle-report" / "index.html").read_text()
    assert "does not say where its data lies" in html
    assert "<img" not in html
    measure([bundle], run, data=f"acdc:{acdc_folder}")
    assert "<img" in (run / "bundle-report" / "index.html").read_text()
    with pytest.raises(UsageError, match="inside a bundle"):
        measure([bundle], run, out=bundle / "report")


def test_a_run_that_was_not_converted_is_a_checkpoint_row(tmp_path: Path, acdc_folder: Path, measure: Measure) -> None:
    run = make_run(tmp_path / "one", acdc_folder, toys=())
    report = measure([run], run)
    assert [one["artefact"] for one in report["rows"]] == ["checkpoint", "checkpoint"]
    assert "PyTorch eager" in report["headlines"][0]


def test_a_baseline_of_other_classes_is_refused(tmp_path: Path, acdc_folder: Path, measure: Measure) -> None:
    student = make_run(tmp_path / "one", acdc_folder)
    others = tuple(Label(k, f"organ {k}", (k, 0, 0)) for k in range(4))
    baseline = make_run(tmp_path / "two", acdc_folder, labels=others)
    with pytest.raises(DataError, match="baseline of other classes"):
        measure([student], baseline)


def test_a_baseline_of_other_cases_is_refused(tmp_path: Path, acdc_folder: Path, measure: Measure) -> None:
    student = make_run(tmp_path / "one", acdc_folder)
    baseline = make_run(tmp_path / "two", acdc_folder, cases=1)
    with pytest.raises(DataError, match="same --cases"):
        measure([student], baseline)


def test_artefacts_gated_on_different_cases_are_refused(tmp_path: Path, acdc_folder: Path, measure: Measure) -> None:
    from acwskd_edge.bundle import open_bundle, seal
    from acwskd_edge.files import write_json

    run = make_run(tmp_path / "one", acdc_folder, toys=(Toy(), Toy("fp16")))
    bundle = open_bundle(run)
    bundle.report["artefacts"][1]["checkpoint_dice"]["mean"] = 0.5
    write_json(bundle.root / "report.json", bundle.report)
    seal(bundle.root, list(bundle.artefacts))
    with pytest.raises(DataError, match="gated on different cases"):
        measure([run], run)


def test_a_changed_bundle_is_not_measured(tmp_path: Path, acdc_folder: Path, measure: Measure) -> None:
    run = make_run(tmp_path / "one", acdc_folder)
    (run / "bundle" / "toy" / "fp32.toy").write_text("0")
    with pytest.raises(TamperedError):
        measure([run], run)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--baseline", "nowhere"], "no folder nowhere"),
        (["."], "--baseline"),
        ([".", "--baseline", "."], "neither a run nor a bundle"),
        ([".", "--baseline", ".", "--runs", "3"], "--runs 3"),
        ([".", "--baseline", ".", "--threads", "0"], "--threads 0"),
        ([".", "--baseline", ".", "--split", "all"], "--split all"),
        ([".", "--baseline", ".", "--seconds", "-1"], "--seconds -1"),
        ([".", "--baseline", ".", "--without", "ncnn"], "--without ncnn; allowed: torch, torch-compile"),
    ],
)
def test_mistakes_are_one_clear_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with pytest.raises(UsageError) as caught:
        main()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
