"""`python -m benchmarks RUN --baseline RUN`: cost, latency, memory and Dice of every artefact, as table and page."""

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
python -m benchmarks runs/student --baseline runs/unet --measured browser.json --measured runs/student/devices/pi.json
python -m benchmarks runs/student --baseline runs/unet --compare old/report.json
"""
SPLITS = ("train", "val", "test")
FEWEST = 10


def limit_threads(threads: int) -> None:
    """Hold numpy's and torch's pools to `threads`; they read these once, when they are imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def command_line() -> Parser:
    """All flags."""
    parser = Parser("python -m benchmarks", __doc__ or "", EXAMPLES)
    parser.add_argument("subject", type=Path, nargs="+", metavar="RUN_OR_BUNDLE", help="a finished run, or a bundle")
    parser.add_argument("--baseline", type=Path, required=True, metavar="RUN", help="what everything is compared with")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="report.json and index.html go here (RUN/report)")
    parser.add_argument("--threads", type=int, default=1, help="of every runtime, each on a core of its own (1)")
    parser.add_argument(
        "--precision-of-median",
        type=float,
        default=3.0,
        metavar="PERCENT",
        help="stop once every median's 95 %% interval is narrower than this share of it (3)",
    )
    parser.add_argument("--runs", type=int, default=200, help="timed runs of every row at most (200)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="per row and way of timing it, after which rounds end (20)"
    )
    parser.add_argument(
        "--passes",
        type=int,
        default=3,
        help="of rounds, after each of which the timings are kept (3)",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="RUNTIME",
        help="leave out its rows, e.g. torch-compile (minutes)",
    )
    parser.add_argument("--split", default="val", help="Dice on val (as the gate measured it, default), test or train")
    parser.add_argument("--data", help="kind:path, if the runs' data has moved")
    parser.add_argument(
        "--measured",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.json",
        help="on another machine, by the web demo or benchmarks.device",
    )
    parser.add_argument("--compare", type=Path, metavar="REPORT.json", help="an earlier report; exit code 4 if worse")
    parser.add_argument("--slower", type=float, default=10.0, metavar="PERCENT", help="still passes --compare (10)")
    parser.add_argument("--dice-drop", type=float, default=0.01, help="still passes --compare (.01)")
    parser.add_argument("--larger", type=float, default=5.0, metavar="PERCENT", help="still passes --compare (5)")
    parser.add_argument("--again", action="store_true", help="measure anew even if nothing changed")
    return parser


def main() -> int:
    """Parse and check what can be checked before anything heavy is imported."""
    args = command_line().parse_args()
    if args.split not in SPLITS:
        raise UsageError(f"--split {args.split}", allowed=", ".join(SPLITS))
    if args.threads < 1:
        raise UsageError(f"--threads {args.threads}", allowed="1 or more")
    if args.runs < FEWEST:
        raise UsageError(f"--runs {args.runs}", allowed=f"{FEWEST} or more, or a median says nothing")
    if args.passes < 1:
        raise UsageError(f"--passes {args.passes}", allowed="1 or more")
    for name in ("precision_of_median", "seconds", "slower", "dice_drop", "larger"):
        if not getattr(args, name) >= 0:
            raise UsageError(f"--{name.replace('_', '-')} {getattr(args, name)}", allowed="0 or more")
    limit_threads(args.threads)
    from benchmarks.compare import Limits
    from benchmarks.run import Settings, benchmark

    settings = Settings(
        students=tuple(args.subject),
        baseline=args.baseline,
        out=args.out,
        threads=args.threads,
        runs=args.runs,
        seconds=args.seconds,
        precision=args.precision_of_median / 100,
        passes=args.passes,
        split=args.split,
        data=args.data,
        again=args.again,
        without=tuple(args.without),
        measured=tuple(args.measured),
        compare=args.compare,
        limits=Limits(args.slower / 100, args.dice_drop, args.larger / 100),
    )
    benchmark(settings)
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
