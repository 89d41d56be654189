from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

from acwskd_edge.contract import Contract
from acwskd_edge.data.slices import Augment, TrainingSlices
from acwskd_edge.errors import RefusedError, UsageError
from acwskd_edge.models import build_model
from train.loop import finished, train
from train.provenance import devices_of, record_environment
from train.recipe import Recipe, from_dict


def test_a_finished_run_holds_what_the_other_commands_need(tiny_run: Path) -> None:
    names = {"best.safetensors", "contract.json", "recipe.yaml", "metrics.jsonl", "metrics.csv", "curves.png", "tb"}
    names |= {"environment.json", "cost.json", "validation.json"}
    assert names <= {one.name for one in tiny_run.iterdir()}
    contract = Contract.load(tiny_run / "contract.json")
    summary = json.loads((tiny_run / "validation.json").read_text())
    assert contract.provenance["validation_dice"] == summary["mean_dice"]
    assert contract.spacing == (1.5385, 1.25)  # 16 rows of 2.5 mm lie on 26 of the grid, 20 columns of 2 mm on 32
    assert summary["hd95_unit"] == "mm"


def test_a_run_says_what_it_was_made_with(tiny_run: Path) -> None:
    said = json.loads((tiny_run / "environment.json").read_text())
    assert said["packages"]["torch"].startswith(torch.__version__)
    assert (said["threads"], said["processes"]) == (1, 1)
    assert said["split_sha256"] == Contract.load(tiny_run / "contract.json").provenance["split_sha256"]
    assert said["commit"] is None or re.fullmatch("[0-9a-f]{40}", said["commit"])
    cost = json.loads((tiny_run / "cost.json").read_text())
    assert cost["step_ms"] > 0
    assert cost["peak_mb"] > 50


def test_a_run_that_goes_on_elsewhere_says_where_it_was_before(tmp_path: Path) -> None:
    for step, device in [(0, "cpu"), (40, "cpu"), (60, "NVIDIA T4"), (80, "cpu")]:
        record_environment(tmp_path, {"device": device, "threads": 1}, step)
    said = json.loads((tmp_path / "environment.json").read_text())
    assert said["device"] == "cpu"
    assert [(one["until_step"], one["device"]) for one in said["earlier"]] == [(60, "cpu"), (80, "NVIDIA T4")]
    assert devices_of(tmp_path) == ["cpu", "NVIDIA T4"]
    record_environment(tmp_path, {"device": "cpu"}, 0)
    assert devices_of(tmp_path) == ["cpu"]


def test_the_checkpoint_holds_the_deployed_network_and_nothing_else(tiny_run: Path) -> None:
    with safe_open(tiny_run / "best.safetensors", framework="pt") as weights:
        assert set(weights.keys()) == set(build_model("s2d16", 1, 14).state_dict())


def test_it_learned_something(tiny_run: Path) -> None:
    records = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    losses = [one["seg"] for one in records if "seg" in one]
    assert losses[-1] < 0.7 * losses[0]


def test_a_finished_run_is_recognised_and_another_recipe_refused(
    tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = yaml.safe_load((tiny_run / "recipe.yaml").read_text())
    before = (tiny_run / "best.safetensors").stat().st_mtime_ns
    train(from_dict(values, "recipe"), tiny_run)
    assert "already trained" in capsys.readouterr().out
    assert (tiny_run / "best.safetensors").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"steps: 60 there, 61 now.*next: choose another --out"):
        train(from_dict({**values, "steps": 61}, "recipe"), tiny_run)


def test_a_run_of_before_a_field_existed_is_recognised(tiny_run: Path, tmp_path: Path) -> None:
    values = yaml.safe_load((tiny_run / "recipe.yaml").read_text())
    older = {key: value for key, value in values.items() if key not in ("devices", "aux")}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(older))
    assert not finished(tmp_path, from_dict(values, "recipe"))
    with pytest.raises(UsageError, match=r"another recipe \(devices: 1 there, 2 now\)"):
        finished(tmp_path, from_dict({**values, "devices": 2}, "recipe"))


def tiny(data: Path, **fields: Any) -> Recipe:
    values = {"size": 32, "steps": 30, "batch": 2, "threads": 1, "accelerator": "cpu"}
    return Recipe(data=f"flare22:{data}", **(values | fields))


def test_a_diverging_run_stops_and_keeps_the_last_good_checkpoint(flare_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"the last good checkpoint is in .*, of step \d+; next: lower lr"):
        train(tiny(flare_folder, lr=1e12, save_every=1), tmp_path / "run")
    with safe_open(tmp_path / "run/state.safetensors", framework="pt") as state:
        assert all(state.get_tensor(name).isfinite().all() for name in state.keys() if name.startswith("network"))  # noqa: SIM118


def test_what_a_diverging_run_keeps_can_be_resumed(
    flare_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(flare_folder, steps=8, save_every=2, validate_every=3)
    whole = train(recipe, tmp_path / "whole")
    sound = TrainingSlices.batch

    def spoilt(self: TrainingSlices, size: int, seed: int, step: int, augment: Augment) -> Any:
        images, labels = sound(self, size, seed, step, augment)
        return (images * np.float32("nan") if step == 5 else images), labels

    with monkeypatch.context() as patch:
        patch.setattr(TrainingSlices, "batch", spoilt)
        with pytest.raises(RefusedError, match=r"loss became nan at step 6; the last good checkpoint .*, of step 4;"):
            train(recipe, tmp_path / "run")
    assert (tmp_path / "run/best.safetensors").is_file()
    assert not (tmp_path / "run/validation.json").exists()
    train(recipe, tmp_path / "run")
    for name in ("best.safetensors", "validation.json"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_gradient_that_is_not_finite_never_reaches_the_weights(
    flare_folder: Path, tmp_path: Path, precision: str
) -> None:
    recipe = tiny(flare_folder, model="own_networks:NanGradient", penultimate="last", precision=precision)
    recipe.objective = {"name": "plain"}
    with pytest.raises(RefusedError, match="gradient became nan at step 1; nothing was saved before; next: lower lr"):
        train(recipe, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "optimizer"), [("bf16", "adamw"), ("fp32", "sgd")])
def test_a_killed_run_ends_at_the_very_weights_of_an_uninterrupted_one(
    flare_folder: Path, tmp_path: Path, precision: str, optimizer: str
) -> None:
    command = [
        sys.executable,
        "-m",
        "train",
        "--recipe",
        "student",
        "--data",
        f"flare22:{flare_folder}",
        "--steps",
        "80",
    ]
    for setting in (
        "size=32",
        "batch=2",
        "threads=1",
        "accelerator=cpu",
        "save_every=7",
        "validate_every=20",
        f"precision={precision}",
        f"optimizer={optimizer}",
    ):
        command += ["--set", setting]
    root = Path(__file__).parents[2]

    def start(out: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, "--out", str(tmp_path / out)],
            cwd=root,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    whole = start("whole")
    killed = start("killed")
    kills = 0
    while kills < 2:
        progress = (
            (tmp_path / "killed/metrics.jsonl").read_text() if (tmp_path / "killed/metrics.jsonl").exists() else ""
        )
        if progress.count("\n") > 2 * kills:
            killed.send_signal(signal.SIGKILL)
            killed.communicate()
            kills += 1
            killed = start("killed")
        assert killed.poll() in (None, -9), killed.communicate()[0]
        time.sleep(0.02)
    output, _ = killed.communicate()
    assert "continuing" in output
    printed, _ = whole.communicate()
    assert whole.returncode == 0, printed
    for name in ("best.safetensors", "state.safetensors", "contract.json", "validation.json"):
        ours, theirs = (tmp_path / "killed" / name).read_bytes(), (tmp_path / "whole" / name).read_bytes()
        if name == "state.safetensors":  # its log carries seconds; the tensors must be equal
            assert ours[-len(theirs) // 2 :] == theirs[-len(theirs) // 2 :]
        else:
            assert ours == theirs
