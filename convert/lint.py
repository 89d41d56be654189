"""`python -m convert.lint`: what of a network will not survive export, before anyone trains it.

It reads the graph that torch.export makes of the network, and runs it once on noise. Every rule rests on a conversion
that was tried with the tools this project pins, or on a report that it cites; docs/lint.md has the list.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import RefusedError, UsageError, exit_with

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

EXAMPLES = """
python -m convert.lint --model s2d16 --size 224 --classes 14
python -m convert.lint --model my_package.networks:unet --channels 3 --classes 8 --size 256
python -m convert.lint runs/student
"""
UNLIKE = 16.0  # ratio of two ranges: the smaller one keeps 4 of the 8 bits of int8
KNOWN = (  # emitted files with these were compared with PyTorch in all three targets
    *("add", "avg_pool2d", "batch_norm", "cat", "conv2d", "conv_transpose2d", "div", "dropout", "identity"),
    *("leaky_relu", "max_pool2d", "mean", "mul", "pad", "relu", "sigmoid", "silu", "sub", "upsample_bilinear2d"),
)
JUDGED = (  # have a rule of their own
    *("group_norm", "instance_norm", "layer_norm", "pixel_shuffle", "pixel_unshuffle", "prelu"),
    *("upsample_bicubic2d", "upsample_nearest2d"),
)


@dataclass(frozen=True)
class Call:
    """One operator of the exported graph."""

    op: str  # ATen's name without overload or trailing underscore, for instance conv2d
    where: str  # module path, or the network's own forward
    arguments: dict[str, Any]  # by ATen's names, defaults filled in
    inputs: list[tuple[int, ...]]  # shapes of its tensors
    output: tuple[int, ...]

    @property
    def side(self) -> tuple[int, ...]:
        """Height and width of the first tensor."""
        return self.inputs[0][-2:]


@dataclass(frozen=True)
class Rule:
    """One way not to survive."""

    found: Callable[[Call], bool]
    effect: str  # refused, inexact, slower or risk
    targets: str  # that suffer
    why: str
    instead: str


@dataclass(frozen=True)
class Finding:
    """A rule and where it struck."""

    rule: str  # its name
    where: str  # module path, or the network's own forward
    effect: str
    targets: str
    why: str
    instead: str

    @property
    def advice(self) -> str:
        """All but the place."""
        return f"{self.rule} ({self.effect}: {self.targets})\n    {self.why}\n    instead: {self.instead}"


def strided(call: Call) -> bool:
    """A convolution or pooling whose stride does not divide its input's sides."""
    if call.op not in ("conv2d", "max_pool2d", "avg_pool2d"):
        return False
    stride = call.arguments["stride"] or call.arguments["kernel_size"]
    return any(side % step for side, step in zip(call.side, (list(stride) * 2)[:2], strict=True))


def fractional(call: Call) -> bool:
    """A nearest-neighbour resize whose output sides are no multiples of its input's."""
    if call.op != "upsample_nearest2d":
        return False
    return any(big % small for big, small in zip(call.output[-2:], call.side, strict=True))


def own_statistics(call: Call) -> bool:
    """Batch norm that measures its input instead of using what training measured."""
    training = call.arguments.get("training") or call.arguments.get("running_mean") is None
    return call.op == "batch_norm" and bool(training)


def uneven(call: Call) -> bool:
    """A transposed convolution whose kernel is not a multiple of its stride, or which pads its output."""
    if call.op != "conv_transpose2d":
        return False
    kernel, stride = call.inputs[1][-2:], (list(call.arguments["stride"]) * 2)[:2]
    return any(call.arguments["output_padding"]) or any(k % s for k, s in zip(kernel, stride, strict=True))


MEASURES = "it measures the mean and variance of every image on the device, which int8 and fp16 do badly"
RULES: dict[str, Rule] = {
    "align_corners": Rule(
        lambda call: bool(call.arguments.get("align_corners")),
        "risk",
        "tflite on GPU and NPU delegates",
        "exact on the CPU today, but delegates have ignored it (tensorflow#24986) and converters have written files "
        "that do not load (litert-torch#158)",
        "align_corners=False",
    ),
    "instance norm": Rule(
        lambda call: call.op == "instance_norm",
        "refused",
        "tflite, onnx fp16",
        MEASURES,
        "nn.BatchNorm2d with running statistics, folded into the convolution",
    ),
    "group norm": Rule(
        lambda call: call.op == "group_norm",
        "refused",
        "tflite, onnx fp16, coreml (not checkable off macOS)",
        MEASURES,
        "nn.BatchNorm2d with running statistics, folded into the convolution",
    ),
    "layer norm": Rule(
        lambda call: call.op == "layer_norm",
        "refused",
        "onnx fp16, coreml (not checkable off macOS)",
        MEASURES,
        "nn.BatchNorm2d with running statistics, folded into the convolution",
    ),
    "PReLU": Rule(
        lambda call: call.op == "prelu",
        "refused",
        "onnx fp16",
        "its slopes stay float32 among float16 values",
        "nn.ReLU or nn.LeakyReLU",
    ),
    "batch norm in training mode": Rule(
        own_statistics,
        "refused",
        "tflite",
        MEASURES,
        "track_running_stats=True, and network.eval() before export",
    ),
    "dropout in training mode": Rule(
        lambda call: call.op.endswith("dropout") and bool(call.arguments.get("train")),
        "inexact",
        "all",
        "the exported file would drop values at random, or the exporter removes it silently",
        "nn.Dropout, which eval() switches off, or F.dropout(x, p, self.training)",
    ),
    "odd size": Rule(
        strided,
        "risk",
        "all",
        "a row or column is lost here and has to be invented on the way up",
        "an input whose sides are divisible by the product of all strides",
    ),
    "fractional nearest resize": Rule(
        fractional,
        "inexact",
        "tflite",
        "LiteRT picks other source pixels than PyTorch does",
        "a whole scale factor, or mode='bilinear', align_corners=False",
    ),
    "nearest resize": Rule(
        lambda call: call.op == "upsample_nearest2d" and not fractional(call),
        "slower",
        "tflite",
        "XNNPACK does not take it, so the graph falls into two delegates",
        "mode='bilinear', align_corners=False, or nn.ConvTranspose2d(c, c, 2, stride=2)",
    ),
    "padding other than zeros": Rule(
        lambda call: call.op == "pad" and call.arguments["mode"] != "constant" and any(call.arguments["pad"]),
        "slower",
        "tflite",
        "XNNPACK does not take it, so the graph falls into two delegates",
        "zeros: padding=1 in the convolution",
    ),
    "bicubic resize": Rule(
        lambda call: call.op == "upsample_bicubic2d",
        "refused",
        "tflite, coreml",
        "coremltools cannot convert it, and in TFLite it becomes gathers and transpositions",
        "mode='bilinear', align_corners=False",
    ),
    "uneven transposed convolution": Rule(
        uneven,
        "refused",
        "tflite",
        "litert-torch cannot convert output_padding, nor kernels that overlap unevenly",
        "kernel_size=2, stride=2, or kernel_size=4, stride=2, padding=1",
    ),
    "pixel shuffle": Rule(
        lambda call: call.op in ("pixel_shuffle", "pixel_unshuffle"),
        "refused",
        "tflite, coreml (not checkable off macOS)",
        "channels come in another order in NHWC, so it becomes transpositions",
        "nn.ConvTranspose2d(c, c, 2, stride=2) upwards, a strided convolution downwards",
    ),
    "more than four dimensions": Rule(
        lambda call: max(map(len, [call.output, *call.inputs])) > 4,
        "refused",
        "tflite, coreml",
        "delegates and the Neural Engine take four at most",
        "keep tensors (B, C, H, W)",
    ),
    "untried operator {op}": Rule(
        lambda call: call.op not in (*KNOWN, *JUDGED),
        "risk",
        "all",
        "no test of this project converts it",
        f"one of {', '.join(KNOWN)}; or try: python -m convert",
    ),
}


def lint(network: nn.Module, shape: tuple[int, int, int, int], *, settle: bool = False) -> list[Finding]:
    """Everything found, in order of execution.

    Args:
        network: (1, C, h, w) -> logits; examined in eval mode, left as it was.
        shape: of its input.
        settle: whether to let batch norm see the noise first, as an untrained network needs.
    Raises:
        UsageError: it does not run on this shape, or torch.export cannot follow it.
    """
    import copy

    import torch

    network = copy.deepcopy(network)
    torch.manual_seed(0)
    noise = torch.randn(shape)
    if settle:
        with torch.no_grad():
            network.train()(torch.cat([noise, torch.randn(shape)]))
    graph = exported(network.eval(), noise)
    found = [
        Finding(name.format(op=call.op), call.where, rule.effect, rule.targets, rule.why, rule.instead)
        for call in map(call_of, operators(graph))
        for name, rule in RULES.items()
        if rule.found(call)
    ]
    found += [*from_shapes(network, noise), *unlike(graph, noise)]
    return list(dict.fromkeys(found))


def listing(found: list[Finding]) -> str:
    """Every rule once, with the places where it struck."""
    places: dict[str, list[str]] = {}
    for one in found:
        places.setdefault(one.advice, []).append(one.where)
    return "\n".join(f"{advice}\n    at: {', '.join(dict.fromkeys(where))}" for advice, where in places.items())


def exported(network: nn.Module, sample: Tensor, **options: Any) -> fx.GraphModule:
    """The graph of torch.export, runnable."""
    import torch

    try:
        return torch.export.export(network, (sample,), **options).module()
    except Exception as error:  # whatever the network or the exporter raises
        first = str(error).strip().splitlines() or [""]
        raise UsageError(
            f"torch.export cannot follow the network on {tuple(sample.shape)} ({type(error).__name__}: {first[0]})",
            hint="no branches on values, no numpy, sides that the network accepts",
        ) from error


def operators(graph: fx.GraphModule) -> Iterator[fx.Node]:
    """ATen calls that give one tensor."""
    import torch

    for node in graph.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload) and isinstance(node.meta.get("val"), torch.Tensor):
            yield node


def call_of(node: fx.Node) -> Call:
    """A node in words."""
    import torch
    from torch import fx

    assert isinstance(node.target, torch._ops.OpOverload)
    arguments = {one.name: one.default_value for one in node.target._schema.arguments if one.has_default_value()}
    arguments |= {one.name: value for one, value in zip(node.target._schema.arguments, node.args, strict=False)}
    arguments |= node.kwargs
    tensors = [one.meta.get("val") for one in node.all_input_nodes if isinstance(one, fx.Node)]
    return Call(
        node.target._schema.name.removeprefix("aten::").removesuffix("_"),
        module_of(node),
        arguments,
        [tuple(one.shape) for one in tensors if isinstance(one, torch.Tensor)] or [()],
        tuple(node.meta["val"].shape),
    )


def module_of(node: fx.Node) -> str:
    """Path of the innermost module that made the call."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return (stack[-1][0] if stack else "") or "forward of the network"


def from_shapes(network: nn.Module, sample: Tensor) -> Iterator[Finding]:
    """Resizes whose size is read from a tensor: they show when height and width are left open."""
    import torch
    from torch import fx

    sides = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    try:
        graph = exported(network, sample, dynamic_shapes=(sides,))
    except UsageError:  # only for fixed sides: nothing to see
        return
    for node in operators(graph):
        call = call_of(node)
        sizes = call.arguments.get("output_size") or call.arguments.get("size") or []
        if call.op.startswith("upsample") and any(isinstance(one, fx.Node) for one in sizes):
            yield Finding(
                "size from a shape",
                call.where,
                "risk",
                "jetson, other converters, flexible shapes",
                "exact at the fixed shape that convert uses; elsewhere it becomes arithmetic on shapes inside the file",
                "scale_factor=2.0",
            )


def unlike(graph: fx.GraphModule, sample: Tensor) -> Iterator[Finding]:
    """Concatenations of tensors whose ranges on noise differ by more than UNLIKE."""
    import torch
    from torch import fx

    spans: dict[str, list[float]] = {}

    class Watch(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            if n.op == "call_function" and "aten.cat" in str(n.target):
                parts = self.fetch_args_kwargs_from_env(n)[0][0]
                spans[n.name] = [float(one.max() - one.min()) for one in parts]
            return super().run_node(n)

    with torch.no_grad():
        Watch(graph).run(sample)
    for node in graph.graph.nodes:
        if node.name in spans and max(spans[node.name]) > UNLIKE * min(spans[node.name]):
            shown = ", ".join(f"{span:.2g}" for span in spans[node.name])
            yield Finding(
                "concatenation of unlike ranges",
                module_of(node),
                "inexact",
                "int8 of tflite and coreml",
                f"ranges {shown} on noise share one scale, so the smallest keeps few of 8 bits",
                "the same normalisation and activation in front of every part",
            )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = Parser("python -m convert.lint", __doc__ or "", EXAMPLES)
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help="a run folder of python -m train")
    parser.add_argument("--model", help="a registered network, or your own as package.module:factory")
    parser.add_argument("--channels", type=int, default=1, help="of the image (1); a RUN's contract says it")
    parser.add_argument("--classes", type=int, default=4, help="with background (4); a RUN's contract says it")
    parser.add_argument("--size", type=int, default=224, help="side of the input, pixels (224); as above")
    args = parser.parse_args()
    if args.run is None and args.model is None:
        raise UsageError("neither RUN nor --model", hint="python -m convert.lint --help")
    if min(args.channels, args.classes, args.size) < 1:
        raise UsageError(f"--channels {args.channels} --classes {args.classes} --size {args.size}", allowed="from 1")
    return args


def main() -> int:
    """Parse, examine, print.

    Raises:
        RefusedError: something was found.
    """
    args = parse()
    from acwskd_edge.models import build_model, import_factory, is_factory
    from acwskd_edge.runtimes.torch_eager import load_network
    from train.state import WEIGHTS

    network: nn.Module
    if args.run:
        network, contract = load_network(args.run / WEIGHTS, args.model)
        shape = (1, contract.channels, contract.height, contract.width)
    else:
        build = import_factory(args.model) if is_factory(args.model) else lambda *size: build_model(args.model, *size)
        network, shape = build(args.channels, args.classes), (1, args.channels, args.size, args.size)
    found = lint(network, shape, settle=args.run is None)
    print(listing(found) or f"nothing found at {shape}; next: python -m train")
    if found:
        rules = ", ".join(dict.fromkeys(one.rule for one in found))
        raise RefusedError(f"{len(found)} finding(s): {rules}", hint="change the network before training it")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
