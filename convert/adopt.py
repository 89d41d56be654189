"""A network that was trained elsewhere -> a run folder, so that every later command takes it like our own."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from acwskd_edge.contract import Contract
from acwskd_edge.data import cases_in, open_data, split_hash
from acwskd_edge.errors import UsageError
from acwskd_edge.evaluate import prepare, score
from acwskd_edge.files import only_writer, sha256, write_atomic, write_json
from acwskd_edge.models import import_factory, is_factory
from train.loop import segment_with_network
from train.state import WEIGHTS, save_weights

SAVE = 'safetensors.torch.save_file(network.state_dict(), "x.safetensors")'


def adopt(model: str, weights: Path, contract_file: Path, where: str, out: Path) -> Path:
    """Write `out` as `python -m train` would have left it, the network scored on the validation cases of the data.

    Args:
        model: `package.module:factory`; the person who runs the command names it, no file does.
        weights: .safetensors of the network's state dict.
        contract_file: contract.json; what it says of size, intensity and labels is taken as the truth.
        where: kind:path of the data that calibrates and judges.
        out: the run folder; if it holds this very network already, nothing is done.
    Raises:
        UsageError: weights that do not fit the network, a network that does not fit the contract, another run in `out`.
        ContractError: no contract there.
        DataError: the data cannot be read.
    """
    if not is_factory(model):
        raise UsageError(f"--model {model} with --weights", allowed="your own network: package.module:factory")
    contract = Contract.load(contract_file)
    network = built(model, weights, contract)
    data = open_data(where)
    facts = {"model": model, "data": data.kind, "split_sha256": split_hash(data), "weights_sha256": sha256(weights)}
    contract = contract.with_provenance(**facts)
    if (out / "validation.json").is_file():
        if Contract.load(out / "contract.json") == contract:
            return out
        raise UsageError(f"{out} holds another run", hint="choose another --out, or delete it")
    with only_writer(out):
        save_weights(out / WEIGHTS, network, model)
        write_atomic(out / "contract.json", contract.to_json())
        write_atomic(out / "recipe.yaml", yaml.safe_dump({"model": model, "data": where}))
        cases = prepare(data, cases_in(data, "val"), contract)
        scores = score(segment_with_network(network, contract), cases, contract, with_hd95=True)
        unit = "mm" if cases[0].case.spacing else "pixels"
        write_json(out / "validation.json", {"hd95_unit": unit, "warning": data.warning, **scores.to_dict()})
    print(f"{model}: mean Dice {scores.mean:.4f} on {len(cases)} validation cases; {out} is a run", flush=True)
    return out


def built(model: str, weights: Path, contract: Contract) -> nn.Module:
    """The factory's network with these weights, in eval mode, tried on an empty image.

    Raises:
        UsageError: not safetensors, other weights, or logits of another shape than the contract's.
    """
    if not weights.is_file():
        raise UsageError(f"no weights at {weights}", allowed=".safetensors")
    network = import_factory(model)(contract.channels, contract.classes).eval()
    try:
        network.load_state_dict(load_file(weights), strict=True)
    except SafetensorError as error:
        raise UsageError(
            f"{weights} is not a safetensors file ({error})", allowed="safetensors, which cannot run code", hint=SAVE
        ) from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{weights} does not hold the weights of {model} ({reason})", hint=SAVE) from error
    image = torch.zeros(1, contract.channels, contract.height, contract.width)
    wanted = (1, contract.classes, contract.height, contract.width)
    try:
        with torch.inference_mode():
            logits = network(image)
    except Exception as error:  # whatever the user's network raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UsageError(f"{model} fails on an image {tuple(image.shape)} ({reason})") from error
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if shape != wanted:
        raise UsageError(f"{model} gives {shape}", allowed=f"logits {wanted}")
    return network
