"""The checkpoint itself, in PyTorch: what every other runtime is compared with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import nn

from acwskd_edge.contract import Contract
from acwskd_edge.errors import UsageError
from acwskd_edge.models import build_model, import_factory, is_factory


class TorchRuntime:
    """A network in eval mode; io `tensor` only."""

    def __init__(
        self, network: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, int, int, int], path: Path
    ) -> None:
        self.network, self.shape, self.path = network, shape, path

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """Normalised float32 (1, C, h, w) -> float32 logits (1, K, h, w).

        Raises:
            UsageError: the batch has another shape than the contract.
        """
        if batch.shape != self.shape:
            raise UsageError(f"batch of shape {batch.shape} for {self.path}", allowed=str(self.shape))
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32)))
        return np.asarray(logits.numpy())


def load_network(path: Path, factory: str | None = None) -> tuple[nn.Module, Contract]:
    """The network of a .safetensors checkpoint, in eval mode, and the contract.json beside it.

    Args:
        factory: `package.module:factory` of weights that a user's own network was trained to. The person must name
            it: code that a file names is never imported.
    Raises:
        UsageError: no such file, damaged, weights of another network than it names, or a factory wanted or not.
        ContractError: contract.json is absent or malformed.
    """
    if not path.is_file():
        raise UsageError(f"no checkpoint at {path}", hint="train first: python -m train --out FOLDER")
    contract = Contract.load(path.parent / "contract.json")
    try:
        with safe_open(path, framework="pt") as file:
            name = (file.metadata() or {}).get("model")
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is damaged ({error})", hint="copy it again or resume the training") from error
    if name is None:
        raise UsageError(f"{path} does not name its model", allowed='safetensors metadata key "model"')
    if is_factory(name) and factory is None:
        raise UsageError(
            f"{path} holds weights of a network of the user's own, {name!r}",
            hint="name its code yourself if you trust it: --model package.module:factory",
        )
    if factory is not None and not is_factory(name):
        raise UsageError(f"--model {factory} given, but {path} holds weights of {name!r}", hint="leave out --model")
    build = import_factory(factory) if factory is not None else partial(build_model, name)
    network = build(contract.channels, contract.classes).eval()
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise UsageError(f"{path} does not hold the weights of {factory or name} ({str(error)[:200]})") from error
    return network, contract


def load(path: Path, threads: int) -> TorchRuntime:
    """Load a .safetensors checkpoint whose contract.json lies beside it; raises as `load_network`.

    PyTorch has one thread pool per process: `threads` holds for everything that runs in it.
    """
    network, contract = load_network(path)
    torch.set_num_threads(threads)
    return TorchRuntime(network, (1, contract.channels, contract.height, contract.width), path)
