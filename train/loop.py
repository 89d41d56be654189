"""Training, from top to bottom.

A run of one process on the CPU is a pure function of its recipe and the thread count: batches depend on (seed, step)
alone and each step seeds torch anew, so a killed run continues to the very weights it would have reached. Devices and
processes are engine.py's business, the log is observe.py's.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet, cases_in, first_patients, open_data, split_hash
from acwskd_edge.data.slices import TrainingSlices
from acwskd_edge.distill import build_objective
from acwskd_edge.distill.base import Objective
from acwskd_edge.errors import RefusedError, UsageError
from acwskd_edge.evaluate import Prepared, Segment, prepare, score
from acwskd_edge.files import only_writer, sha256, write_atomic, write_json
from acwskd_edge.models import build_tapped, is_factory
from acwskd_edge.models.taps import Tapped
from acwskd_edge.preprocess import normalise
from acwskd_edge.runtimes.torch_eager import load_network
from train.engine import Engine
from train.observe import Observer
from train.provenance import code_version, environment, record_environment
from train.recipe import Recipe
from train.start import start_from
from train.state import STATE, WEIGHTS, Progress, load_state, save_state, save_weights

RECIPE = "recipe.yaml"
LOG_EVERY = 10  # steps between the records of metrics.jsonl
INTENDED_USE = "Research and engineering; not a medical device, not for diagnosis."


def train(recipe: Recipe, out: Path) -> Path:
    """Train, or continue, or recognise a finished run; returns the run folder.

    With several processes each of them comes through here; the first alone writes, validates and prints.

    Raises:
        UsageError: `out` holds a run of another recipe, `init` is no run of this model, or the devices are not there.
        RefusedError: the loss or its gradient became NaN or infinite; the last good checkpoint is kept.
    """
    if finished(out, recipe):
        print(f"{out} is already trained; next: python -m convert {out} --target all")
        return out
    data = open_data(recipe.data)
    engine = Engine(recipe)
    with only_writer(out) if engine.first else nullcontext(), engine.launched():
        contract = new_contract(recipe, data)
        network, objective = new_modules(recipe, contract)
        if recipe.init:
            source = Path(recipe.init)
            afresh = start_from(source, network.deployed, recipe.model)
            contract = contract.with_provenance(init_sha256=sha256(source / WEIGHTS))
            if engine.first:
                print(f"starts from {source}" + (f"; afresh: {', '.join(afresh)}" if afresh else ""))
        if data.warning and engine.first:
            print(f"warning: {data.warning}", file=sys.stderr)
        ids = cases_in(data, "train")
        ids = first_patients(data, ids, recipe.patients) if recipe.patients else ids
        slices = TrainingSlices(data, bar_over(ids, "training cases", engine), contract)
        if slices.spacings:
            rows, columns = np.median(slices.spacings, axis=0)
            contract = contract.with_spacing((round(float(rows), 4), round(float(columns), 4)))
        held_out: list[Prepared] = []
        if engine.first:
            held_out = prepare(data, bar_over(cases_in(data, "val"), "validation cases", engine), contract)
            print(f"{recipe.data}: {len(slices)} training slices, {len(held_out)} validation cases")
        best_step = fit(engine, contract, network, objective, slices, held_out, out)
        if engine.first:
            finish(engine, contract, data, held_out, best_step, out)
            print(f"next: python -m convert {out} --target all --precision fp32,fp16,int8{named_code(recipe)}")
    return out


def bar_over(ids: list[str], what: str, engine: Engine) -> Iterable[str]:
    """With a progress bar on the first process's terminal."""
    return tqdm(ids, what, disable=None if engine.first else True)


def named_code(recipe: Recipe) -> str:
    """What other commands must be told of a model that is the user's own."""
    return f" --model {recipe.model}" if is_factory(recipe.model) else ""


def finished(out: Path, recipe: Recipe) -> bool:
    """Whether `out` holds a finished run of this recipe.

    Raises:
        UsageError: the folder holds another recipe's run; says which fields differ.
    """
    path = out / RECIPE
    if not path.exists():
        return False
    found, wanted = yaml.safe_load(path.read_text(encoding="utf-8")), recipe.to_dict()
    found = {**Recipe().to_dict(), **found}  # a run of before a field existed has its default
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
        name=f"{recipe.model.rpartition(':')[2]}-{data.kind}-{recipe.objective.get('name')}",
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
            "patients": recipe.patients,
            "steps": recipe.steps,
            "seed": recipe.seed,
            "code": code_version(),
        },
    )


def new_optimizer(network: nn.Module, objective: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's; weight decay on weights (two axes or more) only."""
    parameters = [*network.parameters(), *objective.parameters()]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.lr)


def new_modules(recipe: Recipe, contract: Contract) -> tuple[Tapped, Objective]:
    """The recipe's network and objective, freshly initialised from its seed; convolutions run channels last."""
    torch.manual_seed(recipe.seed)
    network = build_tapped(
        recipe.model, contract.channels, contract.classes, recipe.penultimate, recipe.aux, recipe.size
    )
    settings = {k: v for k, v in recipe.objective.items() if k != "name"}
    objective = build_objective(str(recipe.objective.get("name")), settings, network, contract.classes, contract)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, objective


def fit(
    engine: Engine,
    contract: Contract,
    network: Tapped,
    objective: Objective,
    slices: TrainingSlices,
    held_out: list[Prepared],
    out: Path,
) -> int:
    """The loop: step, log, validate, save; returns the step of the best checkpoint."""
    recipe = engine.recipe
    optimizer = new_optimizer(network, objective, recipe)
    wrapped = engine.wrap(network, objective, optimizer)
    progress = load_state(out / STATE, network, objective, optimizer)
    observer = None
    if engine.first:
        # Only now is it certain that data, model and objective exist, so a mistake leaves no run folder behind.
        write_atomic(out / RECIPE, yaml.safe_dump(recipe.to_dict(), sort_keys=False))
        record_environment(out, environment(engine, contract.provenance["split_sha256"]), progress.step)
        observer = Observer(out, progress.history)
        if progress.step:
            print(f"continuing {out} at step {progress.step} of {recipe.steps}")

    bar = tqdm(
        total=recipe.steps,
        initial=progress.step,
        desc=recipe.model,
        unit="step",
        disable=None if engine.first else True,
    )
    saved, seconds = progress.step, []
    started = time.perf_counter()
    for images, labels in engine.batches(slices, progress.step):
        torch.manual_seed(recipe.seed * 1_000_003 + progress.step + engine.rank * 7_368_787)
        rate = recipe.lr * (1 - progress.step / recipe.steps) ** 0.9
        for group in optimizer.param_groups:
            group["lr"] = rate
        network.train()
        loss, terms = wrapped(images, labels, progress.step / max(1, recipe.steps - 1))
        optimizer.zero_grad(set_to_none=True)
        engine.fabric.backward(loss)
        values = engine.read({"loss": loss, "grad_norm": gradient_norm(optimizer), **terms})
        if not all(math.isfinite(values[name]) for name in ("loss", "grad_norm")):
            if observer:
                observer.save()
            raise diverged(values, progress, saved, out)
        optimizer.step()
        progress.step += 1
        bar.update()
        seconds.append(time.perf_counter() - started)
        logged = progress.step % LOG_EVERY == 0 or progress.step == recipe.steps
        validated = progress.step % recipe.validate_every == 0 or progress.step == recipe.steps
        if observer and logged:
            cost = {"seconds": round(median(seconds), 4), "peak_mb": engine.peak_mb()}
            for warning in observer.record({"step": progress.step, "lr": rate, **cost, **values}):
                bar.write(warning, file=sys.stderr)
            bar.set_postfix(loss=f"{values['loss']:.3f}", dice=f"{max(progress.best_dice, 0):.3f}")
            seconds = []
        if observer and validated:
            observer.record(validate(recipe, contract, network, held_out, progress, out, bar))
        if validated or progress.step % recipe.save_every == 0:
            saved = progress.step
            if observer:
                save_state(out / STATE, network, objective, optimizer, progress)
                observer.save()
        started = time.perf_counter()
    bar.close()
    if observer:
        observer.close()
    return progress.best_step


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """Euclidean norm of the whole gradient; not finite as soon as one of its values is not."""
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    return torch.nn.utils.get_total_norm([one.grad for one in parameters if one.grad is not None])


def diverged(values: dict[str, float], progress: Progress, saved: int, out: Path) -> RefusedError:
    """What to say when the loss or its gradient is NaN or infinite; the step has not touched the weights.

    Every process comes to the same verdict, because `values` are means over them.
    """
    what, name = ("gradient", "grad_norm") if math.isfinite(values["loss"]) else ("loss", "loss")
    kept = f"the last good checkpoint is in {out}, of step {saved}" if saved else "nothing was saved before"
    return RefusedError(
        f"{what} became {values[name]} at step {progress.step + 1}; {kept}",
        hint="lower lr (--set lr=... and another --out), or train in fp32 (--set precision=fp32)",
    )


def validate(
    recipe: Recipe,
    contract: Contract,
    network: Tapped,
    held_out: list[Prepared],
    progress: Progress,
    out: Path,
    bar: Any,
) -> dict[str, Any]:
    """Dice on the validation cases, as a record of the log; keeps the weights if they are the best so far."""
    scores = score(segment_with_network(network, contract), held_out, contract)
    if scores.mean > progress.best_dice:
        progress.best_dice, progress.best_step = scores.mean, progress.step
        save_weights(out / WEIGHTS, network.deployed, recipe.model)
    bar.write(f"step {progress.step}: validation Dice {scores.mean:.4f} (best {progress.best_dice:.4f})")
    per_class = {f"val_dice/{name}": value for name, value in scores.to_dict()["dice"].items()}
    return {"step": progress.step, "val_dice": scores.mean, **per_class}


def segment_with_network(network: nn.Module, contract: Contract) -> Segment:
    """A network as a `Segment`, a case at a time, float32, on the device it lies on."""
    device = next(network.parameters()).device

    def segment(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        network.eval()
        with torch.inference_mode():
            batch = torch.from_numpy(np.concatenate([normalise(piece, contract) for piece in pixels]))
            return network(batch.to(device)).argmax(dim=1).to(torch.uint8).cpu().numpy()

    return segment


def finish(
    engine: Engine, contract: Contract, data: DataSet, held_out: list[Prepared], best_step: int, out: Path
) -> None:
    """Score the best checkpoint with HD95, write the contract and, last, validation.json, which marks the run done."""
    write_atomic(out / "contract.json", contract.to_json())
    model = engine.recipe.model
    network, _ = load_network(out / WEIGHTS, model if is_factory(model) else None)
    scores = score(segment_with_network(network.to(engine.device), contract), held_out, contract, with_hd95=True)
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
