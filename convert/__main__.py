"""`python -m convert RUN`: a trained run in, a verified bundle out; refused if Dice drops."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import GateError, UsageError, exit_with

if TYPE_CHECKING:
    from convert.ssh import Device

EXAMPLES = """
python -m convert runs/student --target all --precision fp32,fp16,int8
python -m convert runs/student --target all --precision auto
python -m convert runs/student --target tflite --precision int8 --io raw
python -m convert runs/student --target jetson --precision fp16 --io raw --on user@jetson
python -m convert runs/student --target tflite --precision all --install web_demo,android_demo
python -m convert runs/student --target onnx --max-dice-drop 0.005 --data flare22:data/FLARE22
python -m convert --model my_package.networks:unet --weights unet.safetensors --contract contract.json \\
    --data acdc:data/ACDC --out runs/mine --target all --precision auto
"""
PRECISION = (
    "fp32 (default), fp16, int8 or all (these three), comma-separated; coreml also w8, palette6, palette4; "
    "or auto: the first that passes of int8, int8 with its most sensitive layers in float, fp16, fp32"
)


def words(text: str, every: list[str]) -> list[str]:
    """Comma-separated words; `all` stands for every one."""
    found = [word.strip() for word in text.split(",") if word.strip()]
    return every if found == ["all"] else list(dict.fromkeys(found))


def device_of(args: Namespace, targets: list[str]) -> Device | None:
    """Where `--on` points, None without it."""
    from convert.ssh import Device

    if args.on is None:
        if args.ssh_option or args.clean_device:
            raise UsageError("--ssh-option or --clean-device without --on", hint="--on user@device")
        return None
    if "jetson" not in targets:
        raise UsageError(f"--on with target {', '.join(targets)}", allowed="--target jetson")
    again = shlex.join(["python", "-m", "convert", *sys.argv[1:]])
    return Device(args.on, tuple(args.ssh_option), args.clean_device, again)


def main() -> int:
    """Parse and check what can be checked before anything heavy is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's idle threads sleep; on busy cores spinning costs 40x
    from convert.install import APPS, find_app, install
    from convert.targets import ALL, TARGETS, find_target

    parser = Parser("python -m convert", __doc__ or "", EXAMPLES)
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help="a finished run folder of python -m train")
    parser.add_argument("--target", default="all", help=f"{', '.join(TARGETS)}, or all (default) but those for a GPU")
    parser.add_argument("--precision", default="fp32", help=PRECISION)
    parser.add_argument(
        "--io", default="tensor", help="tensor: normalised image -> logits (default); raw: pixels -> mask; or both"
    )
    parser.add_argument(
        "--max-dice-drop", type=float, default=0.01, help="tolerance on mean and every class, 0 to 1 (0.01)"
    )
    parser.add_argument("--cases", type=int, default=0, help="validation cases the gate measures on (all)")
    parser.add_argument("--data", help="kind:path, if the run's data has moved; always with --weights")
    parser.add_argument("--install", default="", metavar="APP", help=f"and put what passed into {', '.join(APPS)}")
    parser.add_argument("--model", help="package.module:factory of a network of your own; imported, so trust it")
    there = parser.add_argument_group("a device that builds, verifies and times the engine of target jetson")
    there.add_argument("--on", metavar="HOST", help="[user@]host as ssh takes it; ssh must work without a question")
    there.add_argument(
        "--ssh-option", action="append", default=[], metavar="NAME=VALUE", help="for ssh -o, as often as needed"
    )
    there.add_argument("--clean-device", action="store_true", help="remove the work folder there when all is fetched")
    there.add_argument("--workspace", type=int, default=1024, metavar="MB", help="TensorRT's memory for a build (1024)")
    there.add_argument("--dla", type=int, metavar="CORE", help="deep learning accelerator, 0 or 1; fp16 only")
    own = parser.add_argument_group("a network trained elsewhere, in place of RUN")
    own.add_argument("--weights", type=Path, help="its state dict, .safetensors")
    own.add_argument("--contract", type=Path, help="contract.json: size, intensity rule, labels")
    own.add_argument("--out", type=Path, help="run folder to make of it")
    args = parser.parse_args()

    targets = [find_target(name).name for name in words(args.target, ALL)]
    precisions = words(args.precision, ["fp32", "fp16", "int8"])
    for name in targets:
        for precision in precisions:
            if precision not in (*TARGETS[name].precisions, "auto"):
                allowed = ", ".join([*TARGETS[name].precisions, "auto", "all"])
                raise UsageError(f"precision {precision!r} for target {name}", allowed=allowed)
    ios = {"both": ["tensor", "raw"]}.get(args.io, [args.io])
    if set(ios) - {"tensor", "raw"}:
        raise UsageError(f"io {args.io!r}", allowed="tensor, raw, both")
    if not 0 <= args.max_dice_drop <= 1:
        raise UsageError(f"--max-dice-drop {args.max_dice_drop}", allowed="0 to 1")
    if args.cases < 0:
        raise UsageError(f"--cases {args.cases}", allowed="0 (all) or more")
    elsewhere = {"--weights": args.weights, "--contract": args.contract, "--out": args.out}
    missing = [name for name, value in {**elsewhere, "--model": args.model, "--data": args.data}.items() if not value]
    if args.run and any(elsewhere.values()):
        raise UsageError("RUN together with --weights, --contract or --out", allowed="one or the other")
    if not args.run and missing:
        raise UsageError(f"no RUN, and no {', '.join(missing)}", hint="python -m convert --help")
    apps = words(args.install, list(APPS))
    for name in apps:
        find_app(name)
    device = device_of(args, targets)
    if args.workspace < 1:
        raise UsageError(f"--workspace {args.workspace}", allowed="1 MB or more")
    if args.dla is not None and (targets != ["jetson"] or precisions != ["fp16"] or args.dla not in (0, 1)):
        given = f"--dla {args.dla} with --target {args.target} --precision {args.precision}"
        raise UsageError(given, allowed="--dla 0 or 1 with --target jetson --precision fp16; a DLA takes no Q/DQ graph")
    from convert.basis import Settings
    from convert.kits import Flags
    from convert.pipeline import convert

    if not args.run:
        from convert.adopt import adopt

        args.run = adopt(args.model, args.weights, args.contract, args.data, args.out)
    flags = Flags(args.workspace, args.dla)
    gate = (args.max_dice_drop, args.cases)
    try:
        convert(args.run, Settings(targets, precisions, ios, *gate, args.data, args.model, device, flags))
    except GateError:
        install(args.run, apps)  # what passed
        raise
    install(args.run, apps)
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
