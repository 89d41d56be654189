"""The checkpoint compiled by torch-tensorrt: PyTorch's own route to TensorRT, with no file between.

Written to its documented interface (torch_tensorrt.compile, ir "dynamo"). Not run on hardware: there was no NVIDIA GPU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch_tensorrt
from numpy.typing import NDArray
from torch import nn

from acwskd_edge.errors import MissingDependency, UsageError
from acwskd_edge.runtimes.torch_eager import load_network

DEVICE = "cuda"
OPTIONS = {
    "ir": "dynamo",
    "disable_tf32": True,  # fp32 means fp32
    "truncate_double": True,
    "min_block_size": 1,  # every supported operator goes to TensorRT, however few stand together
}


class TorchTensorRtRuntime:
    """A compiled network; io `tensor` only. A call copies in, computes and copies out."""

    def __init__(self, network: nn.Module, shape: tuple[int, int, int, int], path: Path) -> None:
        self.network, self.shape, self.path = network, shape, path

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """Normalised float32 (1, C, h, w) -> float32 logits (1, K, h, w).

        Raises:
            UsageError: the batch has another shape than the contract.
        """
        if batch.shape != self.shape:
            raise UsageError(f"batch of shape {batch.shape} for {self.path}", allowed=str(self.shape))
        with torch.no_grad():
            image = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32)).to(DEVICE)
            logits = self.network(image)
        return np.asarray(logits.cpu().numpy())


def load(path: Path, threads: int) -> TorchTensorRtRuntime:
    """Compile a .safetensors checkpoint whose contract.json lies beside it; `threads` means nothing on a GPU.

    Raises:
        MissingDependency: no NVIDIA GPU here.
        UsageError: as `load_network`.
    """
    if not torch.cuda.is_available():
        raise MissingDependency("torch-tensorrt needs an NVIDIA GPU, and torch sees none", hint="run it on one")
    network, contract = load_network(path)
    shape = (1, contract.channels, contract.height, contract.width)
    example = torch.zeros(shape, device=DEVICE)
    compiled = torch_tensorrt.compile(network.to(DEVICE), inputs=[example], **OPTIONS)
    return TorchTensorRtRuntime(compiled, shape, path)
