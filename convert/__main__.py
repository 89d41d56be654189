"""`python -m convert RUN`: a trained run in, a verified bundle out; refused if Dice drops."""

from __future__ import annotations

import sys
from pathlib import Path

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

EXAMPLES = """
python -m convert runs/student --target all --precision fp32,fp16,int8
python -m convert runs/student --target all --precision auto
python -m convert runs/student --target tflite --precision int8 --io raw
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


def main() -> int:
    """Parse and check what can be checked before anything heavy is imported."""
    from convert.targets import TARGETS, find_target

    parser = Parser("python -m convert", __doc__ or "", EXAMPLES)
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help="a finished run folder of python -m train")
    parser.add_argument("--target", default="all", help=f"{', '.join(TARGETS)} or all (default), comma-separated")
    parser.add_argument("--precision", default="fp32", help=PRECISION)
    parser.add_argument(
        "--io", default="tensor", help="tensor: normalised image -> logits (default); raw: pixels -> mask; or both"
    )
    parser.add_argument(
        "--max-dice-drop", type=float, default=0.01, help="tolerance on mean and every class, 0 to 1 (0.01)"
    )
    parser.add_argument("--cases", type=int, default=0, help="validation cases the gate measures on (all)")
    parser.add_argument("--data", help="kind:path, if the run's data has moved; always with --weights")
    parser.add_argument("--model", help="package.module:factory of a network of your own; imported, so trust it")
    own = parser.add_argument_group("a network trained elsewhere, in place of RUN")
    own.add_argument("--weights", type=Path, help="its state dict, .safetensors")
    own.add_argument("--contract", type=Path, help="contract.json: size, intensity rule, labels")
    own.add_argument("--out", type=Path, help="run folder to make of it")
    args = parser.parse_args()

    targets = [find_target(name).name for name in words(args.target, list(TARGETS))]
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
    from convert.pipeline import Settings, convert

    if not args.run:
        from convert.adopt import adopt

        args.run = adopt(args.model, args.weights, args.contract, args.data, args.out)
    convert(args.run, Settings(targets, precisions, ios, args.max_dice_drop, args.cases, args.data, args.model))
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
