"""The model registry: a name in a recipe -> a network; and networks of the user's own, `package.module:factory`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable

from torch import nn

from acwskd_edge.errors import UsageError
from acwskd_edge.models.hooked import Hooked
from acwskd_edge.models.taps import Tapped
from acwskd_edge.models.unet import UNet

Factory = Callable[[int, int], nn.Module]
"""(channels of the image, classes with background) -> a network (B, C, H, W) -> logits (B, K, H, W)."""

MODELS: dict[str, Callable[[int, int], UNet]] = {
    "unet64": lambda channels, classes: UNet(channels, classes, width=64),
    "unet16": lambda channels, classes: UNet(channels, classes, width=16),
    "unet8": lambda channels, classes: UNet(channels, classes, width=8),
    "s2d8": lambda channels, classes: UNet(channels, classes, width=8, levels=4, stem=2),
    "s2d16": lambda channels, classes: UNet(channels, classes, width=16, levels=4, stem=2),
    "s2d16-lite": lambda channels, classes: UNet(channels, classes, width=16, levels=4, stem=2, merge=1),
    "s2d24": lambda channels, classes: UNet(channels, classes, width=24, levels=4, stem=2),
}


def build_model(name: str, channels: int, classes: int) -> UNet:
    """A freshly initialised network of the registry; never imports anything, so `name` may come from a file.

    Raises:
        UsageError: no such model.
    """
    if name not in MODELS:
        raise UsageError(f"unknown model {name!r}", allowed=f"{', '.join(MODELS)}, or your own: package.module:factory")
    return MODELS[name](channels, classes)


def build_tapped(name: str, channels: int, classes: int, penultimate: str, aux: str, side: int) -> Tapped:
    """The network of a recipe, with its features: of the registry, or the user's own behind hooks.

    Args:
        name: a key of MODELS, or `package.module:factory`, which is imported.
        penultimate, aux: layers of a user's network, see `Hooked`; empty for a registered one, which knows its own.
        side: of the square image tried, pixels.
    Raises:
        UsageError: no such model or layer, or a network that does not segment.
    """
    if not is_factory(name):
        if penultimate or aux:
            raise UsageError(
                f"layers {', '.join(filter(None, (penultimate, aux)))} named for model {name!r}",
                allowed="penultimate and aux with --model package.module:factory only",
            )
        return build_model(name, channels, classes)
    return Hooked(import_factory(name)(channels, classes), penultimate, aux, channels, classes, side)


def is_factory(name: str) -> bool:
    """Whether a model's name is `package.module:factory` rather than a key of MODELS."""
    return ":" in name


def import_factory(name: str) -> Factory:
    """Import the user's `package.module:factory`. Give it names from the command line or a recipe, never from weights.

    The factory is called with (channels, classes), or with `in_channels=, out_channels=` if it has parameters of
    these names, as MONAI's networks do.

    Raises:
        UsageError: not importable, no such function; on the call: the factory fails or gives no nn.Module.
    """
    module_name, _, function_name = name.partition(":")
    wanted = "--model package.module:factory, where factory(channels, classes) -> nn.Module"
    if not function_name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise UsageError(f"model {name!r}", allowed=wanted)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        found = error.name and (module_name == error.name or module_name.startswith(f"{error.name}."))
        fault = f"no module {error.name!r}" if found else f"it needs {error.name!r}, which is not installed"
        raise UsageError(
            f"model {name!r} cannot be imported ({fault})", hint="run where it lies, or set PYTHONPATH to its folder"
        ) from error
    except Exception as error:
        raise UsageError(f"model {name!r} cannot be imported ({type(error).__name__}: {error})") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        own = [key for key, one in vars(module).items() if callable(one) and key[0] != "_"]
        raise UsageError(f"{module_name} has no function {function_name!r}", allowed=", ".join(own) or wanted)

    def factory(channels: int, classes: int) -> nn.Module:
        try:
            by_name = {"in_channels", "out_channels"} <= inspect.signature(function).parameters.keys()
            made = function(in_channels=channels, out_channels=classes) if by_name else function(channels, classes)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"{name}({channels}, {classes}) failed ({type(error).__name__}: {error})") from error
        if not isinstance(made, nn.Module):
            raise UsageError(f"{name} gave a {type(made).__name__}", allowed="a torch.nn.Module")
        return made

    return factory
