"""The checkpoint through torch.compile: inductor writes C++ for this processor, weights frozen in."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from acwskd_edge.errors import MissingDependency, UsageError
from acwskd_edge.runtimes.torch_eager import TorchRuntime, load_network

COMPILER = "clang++" if sys.platform == "darwin" else "g++"  # what inductor calls, unless CXX names another


def load(path: Path, threads: int) -> TorchRuntime:
    """Compile a .safetensors checkpoint whose contract.json lies beside it, for one image; tens of seconds.

    Raises:
        MissingDependency: no C++ compiler here.
        UsageError: as `torch_eager.load_network`, or inductor cannot compile the network.
    """
    compiler = os.environ.get("CXX", COMPILER)
    if shutil.which(compiler) is None:
        raise MissingDependency(
            f"torch.compile needs a C++ compiler ({compiler} not found)", hint="sudo apt-get install g++"
        )
    network, contract = load_network(path)
    torch.set_num_threads(threads)
    shape = (1, contract.channels, contract.height, contract.width)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # inductor's own, of its private interfaces
            runtime = TorchRuntime(torch.compile(network, options={"freezing": True}), shape, path)
            runtime(np.zeros(shape, np.float32))
    except Exception as error:  # whatever inductor or the compiler raise
        raise UsageError(f"torch.compile of {path} failed ({str(error)[:300]})", hint="use runtime torch") from error
    return runtime
