"""The last step of a sweep: finished runs on the test split, which is touched once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import torch
from tqdm import tqdm

from acwskd_edge.contract import Contract
from acwskd_edge.data import cases_in, open_data
from acwskd_edge.evaluate import Prepared, prepare, score
from acwskd_edge.files import write_json
from acwskd_edge.models import is_factory
from acwskd_edge.runtimes.torch_eager import load_network
from benchmarks.collect import SCORES
from benchmarks.grid import Run
from train.loop import segment_with_network
from train.provenance import code_version
from train.state import WEIGHTS

RECORD = "test-split.json"  # in a sweep's folder: when the test split was touched, by which code, for which runs


def score_test(runs: Sequence[Run], out: Path) -> None:
    """Write test.json of every run that has none: the best checkpoint's Dice and HD95, case by case.

    Every touch of the split is added to `out`/test-split.json before it happens.
    """
    new = [run for run in runs if not (run.folder / SCORES["test"]).exists()]
    if not new:
        print(f"all {len(runs)} finished runs have their test scores; the test split is not touched again")
        return
    path = out / RECORD
    touches = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_json(path, [*touches, {"when": when, "code": code_version(), "runs": [str(run) for run in new]}])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepared: dict[tuple[str, str], list[Prepared]] = {}
    for run in tqdm(new, "test split", disable=None, unit="run"):
        model = run.recipe.model
        network, contract = load_network(run.folder / WEIGHTS, model if is_factory(model) else None)
        key = (run.recipe.data, grid_of(contract))
        if key not in prepared:
            data = open_data(run.recipe.data)
            prepared[key] = prepare(data, cases_in(data, "test"), contract)
        cases = prepared[key]
        scores = score(segment_with_network(network.to(device), contract), cases, contract, with_hd95=True)
        unit = "mm" if cases[0].case.spacing else "pixels"
        write_json(run.folder / SCORES["test"], {"hd95_unit": unit, "code": code_version(), **scores.to_dict()})


def grid_of(contract: Contract) -> str:
    """What decides how a case is resized."""
    return f"{contract.height}x{contract.width} {contract.resize} {contract.pixel} {contract.intensity}"
