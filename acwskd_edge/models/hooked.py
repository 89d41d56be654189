"""Any network as a `Tapped` one: forward hooks on the layers its user names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from acwskd_edge.errors import UsageError
from acwskd_edge.models.taps import Tapped, Taps


class Hooked(Tapped):
    """Wraps a user's network, which is trained, saved and exported as it is.

    Args:
        module: (B, C, H, W) -> logits (B, K, H, W) on the input's grid.
        penultimate: name of the layer whose output the head classifies, as in `module.named_modules()`.
        aux: name of the layer under the auxiliary head, half-way up the decoder; empty: the penultimate layer.
        channels, classes, side: of one forward pass on zeros that finds the features' channels and checks the shapes.
    Raises:
        UsageError: no such layer, a layer's output is not (B, C, H, W), or the logits are not (B, K, H, W).
    """

    def __init__(self, module: nn.Module, penultimate: str, aux: str, channels: int, classes: int, side: int) -> None:
        super().__init__()
        self.module = module
        names = [name for name, _ in module.named_modules() if name]
        self.layers = [aux, penultimate] if aux else [penultimate]
        for option, name in (("penultimate", penultimate), ("aux", aux or penultimate)):
            if name not in names:
                raise UsageError(f"--{option} {name!r} is no layer of the network", allowed=", ".join(names))
        was_training = module.training
        module.eval()
        taps = self._first_taps(torch.zeros(1, channels, side, side))
        module.train(was_training)
        if taps.logits.shape != (1, classes, side, side):
            raise UsageError(
                f"the network answers {tuple(taps.logits.shape)} to an image (1, {channels}, {side}, {side})",
                allowed=f"logits (1, {classes}, {side}, {side}), one per class on the input's grid",
            )
        self.feature_channels = [one.shape[1] for one in taps.features]

    @property
    def deployed(self) -> nn.Module:
        """The user's own module."""
        return self.module

    def _first_taps(self, image: Tensor) -> Taps:
        try:
            with torch.no_grad():
                return self.taps(image)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"the network cannot take an image {tuple(image.shape)} ({type(error).__name__}: {error})"
            ) from error

    @contextmanager
    def _listening(self, seen: dict[str, object]) -> Iterator[None]:
        """Hooks exist during `taps` only, so that the deployed module stays as its user made it."""

        def keep(name: str) -> Callable[[nn.Module, object, object], None]:
            return lambda layer, given, output: seen.update({name: output})

        handles = [self.module.get_submodule(name).register_forward_hook(keep(name)) for name in self.layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def taps(self, image: Tensor) -> Taps:
        """See `Tapped`; a layer that runs more than once shows its last output."""
        seen: dict[str, object] = {}
        with self._listening(seen):
            logits = self.module(image)
        features = [feature_of(name, seen.get(name)) for name in self.layers]
        if not isinstance(logits, Tensor):
            raise UsageError(f"the network returns a {type(logits).__name__}", allowed="logits, a tensor (B, K, H, W)")
        return Taps(logits, features)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K, H, W)."""
        return self.module(image)


def feature_of(name: str, output: object) -> Tensor:
    """The output of a named layer.

    Raises:
        UsageError: it is not one tensor (B, C, H, W), or the layer did not run.
    """
    if isinstance(output, Tensor) and output.dim() == 4:
        return output
    if output is None:
        shown = "did not run in the forward pass"
    elif isinstance(output, Tensor):
        shown = f"gives a tensor of shape {tuple(output.shape)}"
    else:
        shown = f"gives a {type(output).__name__}"
    raise UsageError(f"layer {name!r} {shown}", allowed="a layer that gives one tensor (B, C, H, W)")
