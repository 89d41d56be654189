"""`python -m benchmarks.collect RUN ... -o FILE.csv`: finished runs -> one row each, the source of docs/results.md."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

EXAMPLES = """
python -m benchmarks.collect runs/plain-0 runs/plain-1 runs/plain-2 -o benchmarks/results/phantom.csv
"""
FACTS = ("data", "model", "objective", "size", "steps", "batch", "lr", "precision", "seed", "threads")


def row_of(run: Path) -> dict[str, Any]:
    """The recipe's deciding fields, seconds a step and the best checkpoint's validation scores.

    Raises:
        UsageError: not a finished run.
    """
    import yaml

    try:
        recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
        scores = json.loads((run / "validation.json").read_text(encoding="utf-8"))
        contract = json.loads((run / "contract.json").read_text(encoding="utf-8"))
        log = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UsageError(f"{run} is not a finished run", hint="python -m train --out FOLDER") from error
    seconds = sorted(one["seconds"] for one in log if "seconds" in one)
    return {
        **{name: recipe[name] for name in FACTS},
        "data": recipe["data"].partition(":")[0],
        "objective": recipe["objective"]["name"],
        "settings": json.dumps({k: v for k, v in recipe["objective"].items() if k != "name"}),
        "code": contract["provenance"]["code"],
        "median_step_s": seconds[len(seconds) // 2],
        "split": "val",
        "mean_dice": scores["mean_dice"],
        "mean_hd95": scores["mean_hd95"],
        **{f"dice/{name}": value for name, value in scores["dice"].items()},
    }


def numbers(rows: list[dict[str, Any]], name: str) -> list[float]:
    """A column's values; a class that no case has is empty."""
    return [float(row[name]) for row in rows if row[name] not in (None, "")]


def summary(rows: list[dict[str, Any]]) -> str:
    """A Markdown table, one line a configuration: mean and standard deviation over seeds, and Dice per class."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[name]) for name in ("model", "objective", "settings")), []).append(row)
    names = [name for name in rows[0] if name.startswith("dice/")]
    head = ["model", "objective", "seeds", "mean Dice", "HD95", *(name.removeprefix("dice/") for name in names)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for (model, objective, settings), group in groups.items():
        dice = numbers(group, "mean_dice")
        spread = f" ± {stdev(dice):.4f}" if len(dice) > 1 else ""
        shown = [f"{mean(found):.3f}" if (found := numbers(group, name)) else "-" for name in names]
        title = objective if settings == "{}" else f"{objective} {settings}"
        distance = f"{mean(found):.1f}" if (found := numbers(group, "mean_hd95")) else "-"
        cells = [model, title, str(len(group)), f"{mean(dice):.4f}{spread}", distance, *shown]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Parse, read the runs, write the CSV, print the summary."""
    parser = Parser("python -m benchmarks.collect", __doc__ or "", EXAMPLES)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="finished run folders")
    parser.add_argument("-o", "--output", type=Path, required=True, help="CSV file to write")
    args = parser.parse_args()

    from acwskd_edge.files import write_atomic

    rows = [row_of(run) for run in args.runs]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(args.output, table.getvalue())
    print(f"{summary(rows)}\n{len(rows)} runs in {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
