"""Fine-tuning: a finished run's weights as the start of another run."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from acwskd_edge.contract import Contract
from acwskd_edge.errors import UsageError
from acwskd_edge.models import is_factory
from acwskd_edge.runtimes.torch_eager import load_network
from train.state import WEIGHTS


def start_from(run: Path, network: nn.Module, model: str) -> list[str]:
    """Copy a finished run's deployed weights into a new network of the same model.

    Returns:
        tensors that keep their fresh values, because their shape differs: a head for other classes, a first
        convolution for other channels.
    Raises:
        UsageError: not a finished run, its weights cannot be loaded, or they are another model's.
    """
    if not (run / "validation.json").is_file():
        raise UsageError(f"init {run} is not a finished run", hint=f"python -m train --out {run}")
    theirs = Contract.load(run / "contract.json").provenance["model"]
    if theirs != model:
        raise UsageError(f"init {run} is a {theirs}, not a {model}", hint=f"--model {theirs}, or another run")
    source, _ = load_network(run / WEIGHTS, model if is_factory(model) else None)
    own = network.state_dict()
    fitting = {k: v for k, v in source.state_dict().items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(own | fitting)
    return [name for name in own if name not in fitting]
