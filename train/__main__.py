"""`python -m train`: a recipe and data in, a run folder out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import AcwskdError, UsageError, exit_with

EXAMPLES = """
python -m train --recipe student --data phantom --out runs/student
python -m train data-check --data folder:data/polyps
python -m train --recipe unet --data acdc:data/acdc --out runs/unet-acdc
python -m train --recipe student --data flare22:data/FLARE22 --out runs/flare --set size=224 --set objective.aux=0.25
python -m train --model mynets:build --penultimate decoder.3 --aux decoder.1 --data folder:data/mine --out runs/mine
python -m train --recipe student --data folder:data/mine --init runs/acdc --steps 500 --out runs/mine-tuned
python -m train --recipe student --data acdc:data/acdc --accelerator cuda --devices 4 --out runs/student-4gpu
"""
# Recipe fields with a flag of their own.
FIELDS = ("data", "steps", "seed", "model", "penultimate", "aux", "init", "accelerator", "devices", "nodes")


def parse_set(text: str) -> tuple[str, Any]:
    """`key=value` with the value read as YAML."""
    from yaml import YAMLError

    from train.recipe import read_yaml

    key, sign, value = text.partition("=")
    if not key or not sign:
        raise UsageError(f"--set {text}", allowed="field=value", hint="fields are listed in train/recipe.py")
    try:
        return key, read_yaml(value)
    except YAMLError as error:
        raise UsageError(f"--set {text}: value is not YAML", allowed="a number, a word, true or false") from error


def main() -> int:
    """Parse, then import what is heavy."""
    if sys.argv[1:2] == ["data-check"]:
        from train.check import main as check

        return check(sys.argv[2:])
    parser = Parser("python -m train", __doc__ or "", EXAMPLES)
    parser.add_argument("--recipe", default="student", help="a shipped recipe's name or a YAML file (student)")
    parser.add_argument("--data", help="kind:path; see data-check --help (default: the recipe's)")
    parser.add_argument("--out", type=Path, help="run folder (runs/<recipe>); rerunning continues there")
    parser.add_argument("--steps", type=int, help="optimiser steps")
    parser.add_argument("--seed", type=int, help="random seed")
    parser.add_argument("--model", help="a name in acwskd_edge.models, or your own network: package.module:factory")
    parser.add_argument("--penultimate", metavar="LAYER", help="of your own network: the one under the head")
    parser.add_argument("--aux", metavar="LAYER", help="of your own network: the one under the auxiliary head")
    parser.add_argument("--init", metavar="RUN", help="fine-tune a finished run of the same model")
    parser.add_argument("--accelerator", help="auto, cpu or cuda (auto)")
    parser.add_argument("--devices", type=int, help="processes on this machine, one per device (1)")
    parser.add_argument("--nodes", type=int, help="machines (1)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="any other recipe field")
    parser.add_argument("--list", action="store_true", help="list the shipped recipes and stop")
    args = parser.parse_args()

    from train.recipe import load_recipe, shipped

    if args.list:
        print("\n".join(shipped()))
        return 0
    overrides = dict(parse_set(text) for text in args.set)
    overrides |= {key: value for key in FIELDS if (value := getattr(args, key)) is not None}
    recipe = load_recipe(args.recipe, overrides)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP warns of what engine.py asks of it
    from train.loop import train

    try:
        train(recipe, args.out or Path("runs") / Path(args.recipe).stem)
    except (AcwskdError, KeyboardInterrupt):
        if int(os.environ.get("LOCAL_RANK", "0")):
            return 0  # the first process of this machine meets the same and says it
        raise
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
