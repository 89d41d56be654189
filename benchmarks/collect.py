"""`python -m benchmarks.collect RUN ... -o FILE.csv`: finished runs -> one row each, the source of docs/results.md."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

EXAMPLES = """
python -m benchmarks.collect runs/plain-0 runs/plain-1 runs/plain-2 -o benchmarks/results/phantom.csv
"""
SCORES = {"val": "validation.json", "test": "test.json"}  # in a run folder: the best checkpoint on a split
COST = "cost.json"  # in a run folder: what training took
Row = dict[str, Any]


def row_of(run: Path, method: str = "", split: str = "val", rule: str = "skip-empty") -> Row:
    """A finished run as a row of a results file: what was trained, its best checkpoint's scores and its cost.

    Args:
        method: the row's name (default: the objective's).
        split: val, or test where it was scored.
        rule: what a class counts for in a case that lacks it; `acwskd_edge.metrics.RULES`.
    Raises:
        UsageError: not a finished run.
    """
    import yaml

    from acwskd_edge.contract import Contract
    from benchmarks.cost import cost_of
    from train.provenance import devices_of

    try:
        recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
        scores = scores_of(run, split, rule)
        log = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    except (OSError, KeyError) as error:
        raise UsageError(f"{run} is not a finished run of this version", hint="python -m train --out FOLDER") from error
    contract = Contract.load(run / "contract.json")
    seconds = [one["seconds"] for one in log if "seconds" in one]
    cost = json.loads((run / COST).read_text(encoding="utf-8")) if (run / COST).exists() else {}
    settings = {name: value for name, value in recipe["objective"].items() if name != "name"}
    return {
        "dataset": recipe["data"].partition(":")[0],
        "split": split,
        "model": recipe["model"],
        "method": method or recipe["objective"]["name"],
        "seed": recipe["seed"],
        **{name: recipe[name] for name in ("steps", "size", "batch")},
        "optimizer": recipe.get("optimizer", "adamw"),  # older runs had no other
        **{name: recipe[name] for name in ("lr", "precision", "threads")},
        "settings": json.dumps(settings),
        "rule": rule,
        "dice": scores["mean_dice"],
        **{f"dice_{name}": value for name, value in scores["dice"].items()},
        "hd95": scores["mean_hd95"],
        "hd95_unit": scores["hd95_unit"],
        "step_ms": round(1000 * median(seconds), 1),
        "peak_mb": cost.get("peak_mb"),
        "macs": cost_of(contract, factories=True)["macs"],
        "device": " then ".join(devices_of(run)),
        "commit": contract.provenance["code"].partition("+g")[2] or contract.provenance["code"],
    }


def cases_of(run: Path, method: str, seed: int, split: str = "val", rule: str = "skip-empty") -> list[Row]:
    """A finished run's scores case by case: method, seed, case, patient, dice_<class>, hd95_<class>."""
    scores = scores_of(run, split, rule)
    return [
        {
            "method": method,
            "seed": seed,
            "case": case,
            "patient": patient,
            **{f"dice_{name}": value for name, value in scores["cases"][case].items()},
            **{f"hd95_{name}": value for name, value in scores["hd95_cases"][case].items()},
        }
        for case, patient in scores["patients"].items()
    ]


def scores_of(run: Path, split: str, rule: str) -> dict[str, Any]:
    """validation.json or test.json as one rule counts."""
    scores: dict[str, Any] = json.loads((run / SCORES[split]).read_text(encoding="utf-8"))
    return scores if rule == scores.get("rule", "skip-empty") else {**scores, **scores[rule]}


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV; the columns are those of the first row, then what later ones add."""
    table = io.StringIO()
    writer = csv.DictWriter(table, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def read_csv(path: Path) -> list[Row]:
    """The rows of a results file, every value as text.

    Raises:
        UsageError: no such file.
    """
    try:
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise UsageError(f"no results file {path}", hint="python -m benchmarks.sweep GRID.yaml") from error


def numbers(rows: Sequence[Row], name: str) -> list[float]:
    """A column's values, without empty ones: a class that no case has, a cost that was not recorded."""
    return [float(row[name]) for row in rows if row.get(name) not in (None, "")]


def classes_of(rows: Sequence[Row]) -> list[str]:
    """Class names, from the columns."""
    return [name.removeprefix("dice_") for name in rows[0] if name.startswith("dice_")]


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    first, *rest = ("| " + " | ".join(one) + " |" for one in (head, *lines))
    return "\n".join([first, "|" + "---|" * len(head), *rest])


def summary(rows: Sequence[Row]) -> str:
    """A Markdown table, one line a configuration: mean and standard deviation over seeds, and Dice per class."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[name]) for name in ("model", "method", "settings")), []).append(row)
    classes = classes_of(rows)
    lines = []
    for (model, method, settings), group in groups.items():
        dice = numbers(group, "dice")
        spread = f" ± {stdev(dice):.4f}" if len(dice) > 1 else ""
        shown = [f"{mean(found):.3f}" if (found := numbers(group, f"dice_{name}")) else "-" for name in classes]
        title = method if settings == "{}" else f"{method} {settings}"
        distance = f"{mean(found):.1f}" if (found := numbers(group, "hd95")) else "-"
        lines.append([model, title, str(len(group)), f"{mean(dice):.4f}{spread}", distance, *shown])
    return markdown(["model", "objective", "seeds", "mean Dice", "HD95", *classes], lines)


def main() -> int:
    """Parse, read the runs, write the CSV, print the summary."""
    parser = Parser("python -m benchmarks.collect", __doc__ or "", EXAMPLES)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="finished run folders")
    parser.add_argument("-o", "--output", type=Path, required=True, help="CSV file to write")
    args = parser.parse_args()

    from acwskd_edge.files import write_atomic

    rows = [row_of(run) for run in args.runs]
    write_atomic(args.output, to_csv(rows))
    print(f"{summary(rows)}\n{len(rows)} runs in {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
