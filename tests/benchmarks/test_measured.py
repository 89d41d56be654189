from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_toys import Measure, Toy, make_run, row

from acwskd_edge.bench import document
from acwskd_edge.bundle import MANIFEST, open_bundle
from acwskd_edge.errors import UsageError
from acwskd_edge.files import sha256
from benchmarks.measured import measured_rows
from benchmarks.subjects import open_all


def export(path: Path, run: Path, **changes: Any) -> Path:
    """What the web demo writes; a change to None leaves the field out."""
    facts = {
        "schema": 1,
        "manifest_sha256": sha256(run / "bundle" / MANIFEST),
        "artefact": "toy-fp32",
        "runtime": "litert.js",
        "accelerator": "wasm",
        "threads": 2,
        "isolated": True,
        "user_agent": "Mozilla/5.0 <Pixel>",
        "milliseconds": [float(v) for v in range(10, 30)],
        "stages": {"pre": [1.0] * 20, "post": [1.0] * 20, "end_to_end": [30.0] * 20},
        **changes,
    }
    path.write_text(json.dumps({name: value for name, value in facts.items() if value is not None}))
    return path


def document_of(path: Path, run: Path, milliseconds: list[float], **changes: Any) -> Path:
    """What benchmarks.device writes."""
    bundle = open_bundle(run)
    device = {"kind": "ssh", "model": "Raspberry Pi 5", "processor": "Cortex-A76", "system": "Debian 13"}
    facts = document.new(bundle, list(bundle.artefacts), {"threads": 4}, device, {})
    facts["rows"][0] |= {
        "state": "ok",
        "model": {"samples_ms": milliseconds},
        "end_to_end": {"samples_ms": milliseconds},
    }
    path.write_text(json.dumps({**facts, **changes}))
    return path


def test_a_devices_rows_stand_under_its_name(tmp_path: Path, acdc_folder: Path, measure: Measure) -> None:
    run = make_run(tmp_path / "one", acdc_folder)
    base = make_run(tmp_path / "unet", acdc_folder, model="s2d16")
    files = (
        document_of(tmp_path / "a.json", run, [5.0] * 20),
        document_of(tmp_path / "b.json", base, [100.0] * 20),
    )
    report = measure([run], base, measured=files)
    found = row(report, "one/toy-fp32@sleeper ssh: Raspberry Pi 5")
    assert found["latency"]["median_ms"] == found["end_to_end"]["median_ms"] == 5.0
    assert found["speedup"]["fp32"]["ratio"] == 20.0
    assert found["dice"] is None
    assert found["reasons"] == ["measured on Raspberry Pi 5, Debian 13: 4 thread(s), golden vectors ok"]
    assert row(report, "one/toy-fp32")["speedup"]["fp32"]["against"] == "unet/toy-fp32"  # never across machines


def test_a_document_of_another_bundle_is_one_line(tmp_path: Path, acdc_folder: Path, sleeper: None) -> None:
    run = make_run(tmp_path / "one", acdc_folder)
    other = document_of(tmp_path / "a.json", run, [5.0] * 20, bundle={"name": "x", "manifest_sha256": "0" * 64})
    with pytest.raises(UsageError, match=r"a\.json was measured on no bundle of those given"):
        measured_rows([other], open_all([run], run))


def test_browser_rows_stand_beside_the_local_ones(tmp_path: Path, acdc_folder: Path, measure: Measure) -> None:
    run = make_run(tmp_path / "one", acdc_folder)
    base = make_run(tmp_path / "unet", acdc_folder, model="s2d16")
    slow = [100.0] * 20
    files = (export(tmp_path / "a.json", run), export(tmp_path / "b.json", base, milliseconds=slow))
    report = measure([run], base, measured=files)
    found = row(report, "one/toy-fp32@litert.js wasm browser")
    assert found["latency"]["median_ms"] == 19.5
    assert found["speedup"]["fp32"] == {
        "against": "unet/toy-fp32@litert.js wasm browser",
        "ratio": round(100 / 19.5, 4),
        "ci95": None,
    }
    assert found["end_to_end"]["median_ms"] == 30.0
    assert found["dice"] is None  # the page measured none, and this machine's is not the browser's
    assert found["verdict"] == "not judged"
    page = (run / "report/index.html").read_text()
    assert "measured in a browser: 2 thread(s), isolated, Mozilla/5.0 &lt;Pixel&gt;" in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 9}, "not a browser measurement of schema 1"),
        ({"milliseconds": [1.0] * 5}, "10 or more numbers, most of them above 0"),
        ({"milliseconds": [1.0] * 20 + ["fast"]}, "10 or more numbers, most of them above 0"),
        ({"milliseconds": [0.0] * 20}, "10 or more numbers, most of them above 0"),
        ({"stages": {"end_to_end": [-1.0] * 20}}, "10 or more numbers, most of them above 0"),
        ({"stages": [1.0]}, "stages is"),
        ({"threads": "two"}, "threads is 'two'"),
        ({"user_agent": None}, "user_agent is None"),
        ({"artefact": "toy-int4"}, "no artefact 'toy-int4'; allowed: toy-fp32"),
        ({"manifest_sha256": "0" * 64}, "measured on no bundle of those given"),
        ({"manifest_sha256": None, "contract": "other"}, "measured on no bundle of those given"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(
    tmp_path: Path, acdc_folder: Path, sleeper: None, changes: dict[str, Any], said: str
) -> None:
    run = make_run(tmp_path / "one", acdc_folder)
    subjects = open_all([run], run)
    with pytest.raises(UsageError, match=said) as caught:
        measured_rows([export(tmp_path / "a.json", run, **changes)], subjects)
    assert "a.json" in str(caught.value)


def test_a_contracts_name_is_enough_where_it_is_the_only_one(tmp_path: Path, acdc_folder: Path, sleeper: None) -> None:
    run = make_run(tmp_path / "one", acdc_folder, toys=(Toy(),))
    other = make_run(tmp_path / "two", acdc_folder, toys=(Toy(),))
    file = export(tmp_path / "a.json", run, manifest_sha256=None, contract="unet8-toy")
    assert measured_rows([file], open_all([run], run))[0].subject.name == "one"
    with pytest.raises(UsageError, match="more than one"):
        measured_rows([file], open_all([run], other))


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UsageError, match=r"a\.json"):
        measured_rows([tmp_path / "a.json"], [])
