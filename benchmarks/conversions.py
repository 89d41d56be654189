"""`python -m benchmarks.conversions RUN ... -o FILE.csv`: what the gate said of every artefact, as a table.

One row an artefact, from each run's bundle/report.json: model x target x precision x {MB, mean Dice change, worst
class's change, argmax agreement, verdict, seconds}. Refused artefacts are rows like the others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

EXAMPLES = """
python -m benchmarks.conversions runs/student runs/unet -o benchmarks/results/conversions-acdc.csv
"""
HEAD = (
    "model",
    "target",
    "precision",
    "io",
    "MB",
    "Dice",
    "mean change",
    "worst class",
    "argmax",
    "verdict",
    "seconds",
)
Row = dict[str, Any]


def rows_of(run: Path) -> list[Row]:
    """The artefacts of a run's bundle, in the order of its report.

    Raises:
        UsageError, TamperedError: as `open_bundle`; UsageError also for a report of an earlier version.
    """
    from acwskd_edge.bundle import open_bundle

    bundle = open_bundle(run)
    if "hd95_unit" not in bundle.report["gate"]:
        raise UsageError(f"{bundle.root} was judged by an earlier version", hint=f"python -m convert {run}")
    return [
        {
            "model": bundle.root.resolve().parent.name,
            "network": bundle.contract.provenance.get("model"),
            "data": bundle.contract.provenance.get("data"),
            "size": f"{bundle.contract.height}x{bundle.contract.width}",
            **{key: entry[key] for key in ("target", "precision", "io")},
            "kept": " ".join(entry["keep"]),
            "mb": round(entry["bytes"] / 1e6, 3),
            "checkpoint_dice": entry["checkpoint_dice"]["mean"],
            "mean_change": entry["dice_change"]["mean"],
            "mean_low": (entry["dice_change_ci95"]["mean"] or [None])[0],
            "worst_class": (entry["worst"] or {}).get("class"),
            "worst_change": (entry["worst"] or {}).get("class_change"),
            "hd95_change": entry["hd95_change"]["mean"],
            "hd95_unit": bundle.report["gate"]["hd95_unit"],
            "argmax_agreement": entry["argmax_agreement"],
            "tolerance": bundle.report["gate"]["max_dice_drop"],
            "cases": len(bundle.report["gate"]["cases"]),
            "verdict": entry["verdict"],
            "seconds": entry["seconds"],
            "gate_seconds": entry["gate_seconds"],
        }
        for entry in bundle.report["artefacts"]
    ]


def lines_of(rows: list[Row]) -> list[list[str]]:
    """The rows, measured or read from a CSV, as the cells of HEAD."""
    return [
        [
            row["model"],
            row["target"],
            row["precision"] + (f" ({len(row['kept'].split())} layers in float)" if row["kept"] else ""),
            row["io"],
            f"{float(row['mb']):.3f}",
            f"{float(row['checkpoint_dice']):.4f}",
            f"{float(row['mean_change']):+.4f}",
            f"{float(row['worst_change']):+.4f} {row['worst_class']}" if row["worst_class"] else "-",
            f"{float(row['argmax_agreement']):.5f}",
            row["verdict"],
            f"{float(row['seconds']):.1f}",
        ]
        for row in rows
    ]


def main() -> int:
    """Parse, read the reports, write the CSV, print the table."""
    parser = Parser("python -m benchmarks.conversions", __doc__ or "", EXAMPLES)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="converted run folders, or bundles")
    parser.add_argument("-o", "--output", type=Path, required=True, help="CSV file to write")
    args = parser.parse_args()

    from acwskd_edge.files import write_atomic
    from benchmarks.collect import markdown, to_csv

    rows = [row for run in args.runs for row in rows_of(run)]
    write_atomic(args.output, to_csv(rows))
    print(f"{markdown(HEAD, lines_of(rows))}\n\n{len(rows)} artefacts in {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
