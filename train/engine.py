"""Device, precision and processes of a run, on Lightning Fabric: one process, or one per device with DDP.

The same recipe means the same batches at any number of processes: each takes its slice of the batch of (seed, step).
One process on the CPU is exact to the byte. Several differ from it by what a slice cannot know: losses that are not
a mean over images (soft Dice is one over the batch) and, on the CPU, batch norm's statistics, which are each
process's own; on CUDA they are shared (`SyncBatchNorm`). An objective's memory (buffers) is each process's own; the
first process's alone is saved, so a resumed run of several goes on with that one everywhere.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import cv2
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from acwskd_edge.bench.conditions import keep_freed_memory
from acwskd_edge.data.slices import TrainingSlices
from acwskd_edge.distill.base import Objective
from acwskd_edge.errors import UsageError
from acwskd_edge.models.taps import Tapped
from train.recipe import Recipe

LONGEST_WAIT = timedelta(hours=2)  # the other processes wait while the first one validates
LAUNCHED = ("MASTER_ADDR", "SLURM_NTASKS")  # one of them is set where several nodes know each other


class Step(nn.Module):
    """Network and objective as one module: what DDP wraps and calls once a step."""

    def __init__(self, network: Tapped, objective: Objective, bf16: bool) -> None:
        super().__init__()
        self.network, self.objective, self.bf16 = network, objective, bf16

    def forward(self, images: Tensor, labels: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`; the forward pass in bfloat16 autocast if wanted."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            return self.objective(self.network, images, labels, progress)


class Engine:
    """Where a recipe's steps are computed.

    Raises:
        UsageError: the devices are not there, or several nodes do not know of each other.
    """

    def __init__(self, recipe: Recipe) -> None:
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self.recipe = recipe
        kind = recipe.accelerator
        if kind == "auto":
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        if kind == "cuda" and torch.cuda.device_count() < recipe.devices:
            raise UsageError(
                f"{recipe.devices} CUDA device(s) wanted",
                allowed=f"{torch.cuda.device_count()} here, or accelerator cpu",
            )
        if recipe.nodes > 1 and not any(name in os.environ for name in LAUNCHED):
            raise UsageError(
                f"{recipe.nodes} nodes, but nothing says where the first one is",
                hint="set MASTER_ADDR, MASTER_PORT and NODE_RANK on every node, or start with torchrun or srun",
            )
        # Which parameters take part changes as an objective's terms come in; each process keeps its own buffers.
        several = DDPStrategy(timeout=LONGEST_WAIT, find_unused_parameters=True, forward_sync_buffers=False)
        self.processes = recipe.devices * recipe.nodes
        self.fabric = Fabric(
            accelerator=kind,
            devices=recipe.devices,
            num_nodes=recipe.nodes,
            strategy=several if self.processes > 1 else "auto",
        )
        self.rank = self.fabric.global_rank
        self.first = self.rank == 0  # the process that writes, validates and prints
        self.device = self.fabric.device
        self.name = torch.cuda.get_device_name(self.device) if kind == "cuda" else "cpu"

    @contextmanager
    def launched(self) -> Iterator[None]:
        """Start the other processes, each with this very command line, and join them; if this one fails, end them."""
        self.fabric.launch()
        self._set_up_torch()
        children = getattr(self.fabric.strategy.launcher, "procs", [])
        try:
            yield
        except BaseException:
            ended = children.copy()
            children.clear()  # Fabric kills this process when one on the list has died
            for child in ended:
                child.kill()
                child.wait()
            raise

    def _set_up_torch(self) -> None:
        threads = self.recipe.threads or max(1, (os.cpu_count() or 1) // self.recipe.devices)
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)  # it augments; with a pool as large as the machine, trainings side by side starve
        torch.backends.cudnn.benchmark = True  # every step has the same shapes
        if self.device.type == "cpu":
            keep_freed_memory()
        # DDP on a 1x1 convolution whose weights lie channels last: true, and of no consequence.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")

    def wrap(self, network: Tapped, objective: Objective, optimizer: torch.optim.Optimizer) -> Step:
        """The step's module on its device, behind DDP if there are several processes; sync batch norm on CUDA.

        `network`, `objective` and `optimizer` stay usable: they are moved, not copied.
        """
        if self.processes > 1 and self.device.type == "cuda":
            share_batch_norm(network)
            share_batch_norm(objective)
        wrapped, _ = self.fabric.setup(Step(network, objective, self.recipe.precision == "bf16"), optimizer)
        return wrapped

    def batches(self, slices: TrainingSlices, first: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's slice of the batch of every step from `first` on, made one step ahead in a thread.

        Yields:
            images (B / processes, C, h, w) float32, channels last, and labels (B / processes, h, w) int64.
        """
        recipe = self.recipe
        share = recipe.batch // self.processes
        mine = slice(self.rank * share, (self.rank + 1) * share)

        def make(step: int) -> list[Tensor]:
            images, labels = slices.batch(recipe.batch, recipe.seed, step, recipe.augment)
            both = [torch.from_numpy(images[mine]), torch.from_numpy(labels[mine])]
            both[0] = both[0].contiguous(memory_format=torch.channels_last)
            return [one.pin_memory() for one in both] if self.device.type == "cuda" else both

        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(make, first)
            for step in range(first, recipe.steps):
                images, labels = ahead.result()
                if step + 1 < recipe.steps:
                    ahead = pool.submit(make, step + 1)
                yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

    def read(self, scalars: dict[str, Tensor]) -> dict[str, float]:
        """Means over the processes as numbers, in one transfer from the device."""
        stacked = torch.stack([value.detach().to(self.device, torch.float32) for value in scalars.values()])
        if self.processes > 1:
            torch.distributed.all_reduce(stacked)
            stacked /= self.processes
        return dict(zip(scalars, stacked.tolist(), strict=True))

    def peak_mb(self) -> float:
        """Most memory held so far, 2^20 bytes: of the GPU's tensors on CUDA, else of this process."""
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_allocated(self.device) / 2**20, 1)
        unit = 1 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def share_batch_norm(module: nn.Module) -> None:
    """Make the batch norms that train below `module` take their statistics from the batch of all processes."""
    for name, child in module.named_children():
        if next(child.parameters(), None) is not None:
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]
