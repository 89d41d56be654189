from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from acwskd_edge.errors import MissingDependency, UsageError
from acwskd_edge.models import build_model, import_factory, is_factory
from benchmarks.collect import read_csv
from benchmarks.comparison import compare
from benchmarks.emitted import blank_contract, built, emit, kinds_of
from benchmarks.grid import load_grid
from benchmarks.peer_models.norms import ChannelNorm, GroupNorm
from benchmarks.peer_models.unext import SHIFTS, shift
from benchmarks.peers import PEERS, caption_of, main, published_check, table_of

OWN = [name for name, peer in PEERS.items() if peer.published]
TOLERANCE = 0.02  # published counts have two or three digits


@pytest.mark.parametrize("row", published_check(), ids=lambda row: row["model"])
def test_parameters_and_macs_are_the_published_ones(row: dict[str, int]) -> None:
    assert row["parameters"] == pytest.approx(row["published_parameters"], rel=TOLERANCE)
    assert row["macs"] == pytest.approx(row["published_macs"], rel=TOLERANCE)


@pytest.mark.parametrize("name", [name for name in PEERS if not name.startswith(("unet", "smp"))])
def test_logits_lie_on_the_inputs_grid(name: str) -> None:
    model = PEERS[name].model
    build = import_factory(model) if is_factory(model) else lambda c, k: build_model(model, c, k)
    with torch.inference_mode():
        assert build(2, 5).eval()(torch.zeros(1, 2, 64, 96)).shape == (1, 5, 64, 96)


@pytest.mark.parametrize("name", OWN)
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    network = import_factory(PEERS[name].model)(1, 3)
    network(torch.randn(2, 1, 32, 32)).square().mean().backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in network.parameters())


def test_group_norm_is_torchs() -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 8, 5, 7)
    assert torch.allclose(GroupNorm(4, 8)(image), nn.GroupNorm(4, 8)(image), atol=1e-5)


def test_channel_norm_is_layer_norm_over_channels() -> None:
    image = torch.randn(2, 8, 5, 7)
    norm = ChannelNorm(8)(image)
    assert torch.allclose(norm.mean(1), torch.zeros(2, 5, 7), atol=1e-5)
    assert torch.allclose(norm.var(1, unbiased=False), torch.ones(2, 5, 7), atol=1e-3)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_shift_moves_each_group_and_brings_in_zeros(dim: int) -> None:
    image = torch.arange(1.0, 8).repeat(1, 5, 7, 1)
    image = image if dim == 3 else image.mT
    for group, step in enumerate(SHIFTS):
        line = shift(image, dim)[0, group].select(4 - dim - 1 if dim == 3 else 1, 0)
        wanted = [0.0] * max(step, 0) + [float(v) for v in range(1 - min(step, 0), 8 - max(step, 0))]
        assert line.tolist() == wanted + [0.0] * max(-step, 0)


def test_every_peer_of_the_sweep_trains_where_the_objective_attaches() -> None:
    from acwskd_edge.models import build_tapped

    grid = load_grid("peers")
    assert {one.name for one in grid.methods} == {name for name in PEERS if not name.startswith("smp")}
    for run in grid.only(OWN).runs(Path("runs")):
        recipe = run.recipe
        tapped = build_tapped(recipe.model, 1, 4, recipe.penultimate, recipe.aux, 96)
        assert tapped.taps(torch.zeros(1, 1, 96, 96)).penultimate.shape[-1] in (48, 96)


@pytest.mark.skipif(
    importlib.util.find_spec("segmentation_models_pytorch") is not None, reason="its package is installed here"
)
def test_a_missing_package_says_how_to_get_it() -> None:
    with pytest.raises(MissingDependency, match="pip install --no-deps"):
        built(PEERS["smp_mobilenet_v3_small"].model, blank_contract(1, 2, 32))


def test_runtimes_are_named_with_their_precision() -> None:
    assert kinds_of("litert:int8, onnxruntime:fp32") == [("litert", "int8"), ("onnxruntime", "fp32")]
    with pytest.raises(UsageError, match="--runtimes tvm:fp32; allowed: onnxruntime:fp32"):
        kinds_of("tvm:fp32")


def test_the_docs_have_the_tables_of_the_results_files() -> None:
    results = Path(__file__).parents[2] / "benchmarks/results"
    page = (results.parents[1] / "docs/peers.md").read_text(encoding="utf-8")
    rows = json.loads((results / "peers-epyc-1thread.json").read_text(encoding="utf-8"))["rows"]
    assert table_of(rows) in page
    assert caption_of(rows) in page
    scores, cases = (read_csv(results / name) for name in ("peers.csv", "peers-cases.csv"))
    assert compare(load_grid("peers"), scores, cases).markdown().partition("\n\n")[2].rstrip() in page


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_converts_to_onnx(name: str, tmp_path: Path) -> None:
    kinds = kinds_of("onnxruntime:fp32,onnxruntime:int8")
    _, artefacts = emit(PEERS[name].model, blank_contract(1, 3, 32), kinds, tmp_path)
    assert all(isinstance(one, Path) for one in artefacts.values()), artefacts


@pytest.mark.slow
def test_the_table_is_written_and_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "peers.json"
    words = ["peers", "--models", "s2d16,unext_s,smp_mobilenet_v3_small", "--sizes", "32", "--rounds", "10"]
    words += ["--runtimes", "onnxruntime:fp32", "--work", str(tmp_path / "work"), "-o", str(out)]
    monkeypatch.setattr("sys.argv", words)
    assert main() == 0
    found = json.loads(out.read_text())
    timed = [row for row in found["rows"] if "latency" in row]
    assert {row["model"] for row in timed} >= {"s2d16", "unext_s"}
    assert all(row["latency"]["rounds"] == 10 for row in timed)
    assert len(list(csv.DictReader(out.with_suffix(".csv").read_text().splitlines()))) == 3
    assert main() == 0
    assert "32x32: measured already" in capsys.readouterr().err
    assert json.loads(out.read_text()) == found
