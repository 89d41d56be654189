"""`python -m benchmarks RUN --baseline RUN`: cost, latency and Dice of every artefact, as a table and a page."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

EXAMPLES = """
python -m benchmarks runs/student --baseline runs/unet
python -m benchmarks runs/student runs/plain --baseline runs/unet --split test --out runs/comparison
python -m benchmarks student-bundle --baseline runs/unet --data flare22:data/FLARE22
"""
SPLITS = ("train", "val", "test")
FEWEST = 10


def limit_threads(threads: int) -> None:
    """Hold numpy's and torch's pools to `threads`; they read these once, when they are imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def main() -> int:
    """Parse and check what can be checked before anything heavy is imported."""
    parser = Parser("python -m benchmarks", __doc__ or "", EXAMPLES)
    parser.add_argument("subject", type=Path, nargs="+", metavar="RUN_OR_BUNDLE", help="a finished run, or a bundle")
    parser.add_argument("--baseline", type=Path, required=True, metavar="RUN", help="what everything is compared with")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="report.json and index.html go here (RUN/report)")
    parser.add_argument("--threads", type=int, default=1, help="of every runtime (1)")
    parser.add_argument("--runs", type=int, default=50, help="timed runs of every row (50); slow rows may get fewer")
    parser.add_argument("--split", default="val", help="Dice on val (as the gate measured it, default), test or train")
    parser.add_argument("--data", help="kind:path, if the runs' data has moved")
    parser.add_argument("--again", action="store_true", help="measure anew even if nothing changed")
    args = parser.parse_args()

    if args.split not in SPLITS:
        raise UsageError(f"--split {args.split}", allowed=", ".join(SPLITS))
    if args.threads < 1:
        raise UsageError(f"--threads {args.threads}", allowed="1 or more")
    if args.runs < FEWEST:
        raise UsageError(f"--runs {args.runs}", allowed=f"{FEWEST} or more, or a median says nothing")
    limit_threads(args.threads)
    from benchmarks.run import Settings, benchmark

    benchmark(
        Settings(
            tuple(args.subject), args.baseline, args.out, args.threads, args.runs, args.split, args.data, args.again
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
