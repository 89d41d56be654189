"""`python -m train`: a recipe and data in, a run folder out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

EXAMPLES = """
python -m train --recipe student --data phantom --out runs/student
python -m train --recipe unet --data acdc:data/acdc --out runs/unet-acdc
python -m train --recipe student --data flare22:data/FLARE22 --out runs/flare --set size=224 --set objective.aux=0.25
"""


def parse_set(text: str) -> tuple[str, Any]:
    """`key=value` with the value read as YAML."""
    import yaml

    key, sign, value = text.partition("=")
    if not key or not sign:
        raise UsageError(f"--set {text}", allowed="field=value", hint="fields are listed in train/recipe.py")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {text}: value is not YAML", allowed="a number, a word, true or false") from error


def main() -> int:
    """Parse, then import what is heavy."""
    parser = Parser("python -m train", __doc__ or "", EXAMPLES)
    parser.add_argument("--recipe", default="student", help="a shipped recipe's name or a YAML file (student)")
    parser.add_argument("--data", help="kind:path; kinds: phantom, flare22, acdc (default: the recipe's)")
    parser.add_argument("--out", type=Path, help="run folder (runs/<recipe>); rerunning continues there")
    parser.add_argument("--steps", type=int, help="optimiser steps")
    parser.add_argument("--seed", type=int, help="random seed")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="any other recipe field")
    parser.add_argument("--list", action="store_true", help="list the shipped recipes and stop")
    args = parser.parse_args()

    from train.recipe import load_recipe, shipped

    if args.list:
        print("\n".join(shipped()))
        return 0
    overrides = dict(parse_set(text) for text in args.set)
    overrides |= {key: value for key in ("data", "steps", "seed") if (value := getattr(args, key)) is not None}
    recipe = load_recipe(args.recipe, overrides)
    from train.loop import train

    train(recipe, args.out or Path("runs") / Path(args.recipe).stem)
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
