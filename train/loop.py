"""Training, from top to bottom.

A run is a pure function of its recipe and the thread count: batches depend on (seed, step) alone and each step seeds
torch anew, so a killed run continues to the very weights it would have reached.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet, cases_in, open_data, split_hash
from acwskd_edge.data.slices import TrainingSlices
from acwskd_edge.distill import build_objective
from acwskd_edge.errors import RefusedError, UsageError
from acwskd_edge.evaluate import Prepared, Segment, prepare, score
from acwskd_edge.files import only_writer, write_atomic, write_json
from acwskd_edge.models import build_model
from acwskd_edge.models.unet import UNet
from acwskd_edge.preprocess import normalise
from acwskd_edge.runtimes.torch_eager import load_network
from train.plots import draw_curves
from train.provenance import code_version
from train.recipe import Recipe
from train.state import STATE, WEIGHTS, Progress, load_state, save_state, save_weights

RECIPE = "recipe.yaml"
LOG_EVERY = 10  # steps between the records of metrics.jsonl
INTENDED_USE = "Research and engineering; not a medical device, not for diagnosis."


def train(recipe: Recipe, out: Path) -> Path:
    """Train, or continue, or recognise a finished run; returns the run folder.

    Raises:
        UsageError: `out` holds a run of another recipe.
        RefusedError: the loss became NaN or infinite; the last good checkpoint is kept.
    """
    if finished(out, recipe):
        print(f"{out} is already trained; next: python -m convert {out} --target all")
        return out
    data = open_data(recipe.data)
    with only_writer(out):
        torch.set_num_threads(recipe.threads or os.cpu_count() or 1)
        if data.warning:
            print(f"warning: {data.warning}", file=sys.stderr)
        contract = new_contract(recipe, data)
        slices = TrainingSlices(data, tqdm(cases_in(data, "train"), "training cases", disable=None), contract)
        if slices.spacings:
            rows, columns = np.median(slices.spacings, axis=0)
            contract = contract.with_spacing((round(float(rows), 4), round(float(columns), 4)))
        held_out = prepare(data, tqdm(cases_in(data, "val"), "validation cases", disable=None), contract)
        print(f"{recipe.data}: {len(slices)} training slices, {len(held_out)} validation cases")
        best_step = fit(recipe, contract, slices, held_out, out)
        finish(contract, data, held_out, best_step, out)
        print(f"next: python -m convert {out} --target all --precision fp32,fp16,int8")
    return out


def finished(out: Path, recipe: Recipe) -> bool:
    """Whether `out` holds a finished run of this recipe.

    Raises:
        UsageError: the folder holds another recipe's run; says which fields differ.
    """
    path = out / RECIPE
    if not path.exists():
        return False
    found, wanted = yaml.safe_load(path.read_text(encoding="utf-8")), recipe.to_dict()
    if found != wanted:
        differs = [f"{k}: {found.get(k)!r} there, {v!r} now" for k, v in wanted.items() if found.get(k) != v]
        raise UsageError(
            f"{out} holds a run of another recipe ({'; '.join(differs) or 'fields removed'})",
            hint=f"choose another --out, or delete {out}",
        )
    return (out / "validation.json").exists()


def new_contract(recipe: Recipe, data: DataSet) -> Contract:
    """The contract a model of this recipe will carry; spacing and measured Dice are added when they are known."""
    return Contract(
        name=f"{recipe.model}-{data.kind}-{recipe.objective.get('name')}",
        modality=data.modality,
        height=recipe.size,
        width=recipe.size,
        channels=data.channels,
        pixel=data.pixel,
        resize=recipe.resize,
        intensity=data.intensity,
        labels=data.labels,
        spacing=None,
        intended_use=INTENDED_USE,
        provenance={
            "data": data.kind,
            "split_sha256": split_hash(data),
            "warning": data.warning,
            "model": recipe.model,
            "objective": recipe.objective,
            "steps": recipe.steps,
            "seed": recipe.seed,
            "code": code_version(),
        },
    )


def new_optimizer(network: nn.Module, objective: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; weight decay on weights (two axes or more) only."""
    parameters = [*network.parameters(), *objective.parameters()]
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ],
        lr=recipe.lr,
    )


def fit(recipe: Recipe, contract: Contract, slices: TrainingSlices, held_out: list[Prepared], out: Path) -> int:
    """The loop: step, log, validate, save; returns the step of the best checkpoint."""
    torch.manual_seed(recipe.seed)
    network = build_model(recipe.model, contract.channels, contract.classes)
    settings = {k: v for k, v in recipe.objective.items() if k != "name"}
    objective = build_objective(str(recipe.objective.get("name")), settings, network, contract.classes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = new_optimizer(network, objective, recipe)
    # Only now is it certain that data, model and objective exist, so a mistake leaves no run folder behind.
    write_atomic(out / RECIPE, yaml.safe_dump(recipe.to_dict(), sort_keys=False))
    progress = load_state(out / STATE, network, objective, optimizer)
    if progress.step:
        print(f"continuing {out} at step {progress.step} of {recipe.steps}")

    bar = tqdm(total=recipe.steps, initial=progress.step, desc=str(recipe.model), disable=None, unit="step")
    for step in range(progress.step, recipe.steps):
        started = time.perf_counter()
        rate = recipe.lr * (1 - step / recipe.steps) ** 0.9
        for group in optimizer.param_groups:
            group["lr"] = rate
        terms = one_step(recipe, network, objective, optimizer, slices, step)
        progress.step = step + 1
        bar.update()
        if not math.isfinite(terms["loss"]):
            raise RefusedError(
                f"loss became {terms['loss']} at step {step + 1}; the last good checkpoint is in {out}",
                hint="lower lr (--set lr=...), or train in fp32 (--set precision=fp32)",
            )
        if progress.step % LOG_EVERY == 0 or progress.step == recipe.steps:
            seconds = time.perf_counter() - started
            progress.history.append({"step": progress.step, "lr": rate, "seconds": round(seconds, 4), **terms})
            bar.set_postfix(loss=f"{terms['loss']:.3f}", dice=f"{max(progress.best_dice, 0):.3f}")
        validated = progress.step % recipe.validate_every == 0 or progress.step == recipe.steps
        if validated:
            validate(recipe, contract, network, held_out, progress, out, bar)
        if validated or progress.step % recipe.save_every == 0:
            save_state(out / STATE, network, objective, optimizer, progress)
            write_atomic(out / "metrics.jsonl", "".join(json.dumps(one) + "\n" for one in progress.history))
    bar.close()
    draw_curves(progress.history, out / "curves.png")
    return progress.best_step


def one_step(
    recipe: Recipe,
    network: UNet,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    slices: TrainingSlices,
    step: int,
) -> dict[str, float]:
    """One optimiser step; returns the loss and its terms."""
    torch.manual_seed(recipe.seed * 1_000_003 + step)
    images, labels = slices.batch(recipe.batch, recipe.seed, step, recipe.augment)
    batch = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
    network.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
        loss, terms = objective(network, batch, torch.from_numpy(labels), step / max(1, recipe.steps - 1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {"loss": float(loss.detach()), **{name: float(value) for name, value in terms.items()}}


def validate(
    recipe: Recipe,
    contract: Contract,
    network: UNet,
    held_out: list[Prepared],
    progress: Progress,
    out: Path,
    bar: Any,
) -> None:
    """Dice on the validation cases; keeps the weights if they are the best so far."""
    scores = score(segment_with_network(network, contract), held_out, contract)
    record = {"step": progress.step, "val_dice": scores.mean}
    record |= {f"val_dice/{name}": v for name, v in scores.to_dict()["dice"].items()}
    progress.history.append(record)
    if scores.mean > progress.best_dice:
        progress.best_dice, progress.best_step = scores.mean, progress.step
        save_weights(out / WEIGHTS, network, recipe.model)
    bar.write(f"step {progress.step}: validation Dice {scores.mean:.4f} (best {progress.best_dice:.4f})")


def segment_with_network(network: nn.Module, contract: Contract) -> Segment:
    """A network as a `Segment`, a case at a time, float32."""

    def segment(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        network.eval()
        with torch.inference_mode():
            batch = torch.from_numpy(np.concatenate([normalise(piece, contract) for piece in pixels]))
            return network(batch).argmax(dim=1).to(torch.uint8).numpy()

    return segment


def finish(contract: Contract, data: DataSet, held_out: list[Prepared], best_step: int, out: Path) -> None:
    """Score the best checkpoint with HD95, write the contract and, last, validation.json, which marks the run done."""
    write_atomic(out / "contract.json", contract.to_json())
    network, _ = load_network(out / WEIGHTS)
    scores = score(segment_with_network(network, contract), held_out, contract, with_hd95=True)
    summary = scores.to_dict()
    contract = contract.with_provenance(validation_dice=summary["mean_dice"])
    write_atomic(out / "contract.json", contract.to_json())
    unit = "mm" if held_out[0].case.spacing else "pixels"
    write_json(out / "validation.json", {"hd95_unit": unit, "warning": data.warning, "best_step": best_step, **summary})
    print(f"{'class':<22}{'Dice':>8}{'HD95 ' + unit:>14}")
    for name in scores.classes:
        print(row_of(name, summary["dice"][name], summary["hd95"][name]))
    print(row_of("mean", summary["mean_dice"], summary["mean_hd95"]))


def row_of(name: str, dice: float | None, distance: float | None) -> str:
    """One line of the closing table; a dash where the class was absent or never found."""
    shown = "-" if dice is None else f"{dice:.4f}"
    return f"{name:<22}{shown:>8}{'-' if distance is None else f'{distance:.1f}':>14}"
