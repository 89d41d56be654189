"""The options that every command line for `bench` has; imports nothing heavy."""

from __future__ import annotations

import argparse
import os

from acwskd_edge.errors import UsageError

FEWEST, MOST = 10, 2000
THREAD_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def add(parser: argparse.ArgumentParser) -> None:
    """--runs, --threads, --artefact, --again."""
    parser.add_argument("--runs", type=int, default=50, help="timed runs of every artefact (50)")
    parser.add_argument("--threads", type=int, default=1, help="of every runtime (1)")
    parser.add_argument(
        "--artefact", action="append", default=[], metavar="ID", help="for instance tflite-int8; repeatable (all)"
    )
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")


def check(args: argparse.Namespace) -> None:
    """Refuse what says nothing.

    Raises:
        UsageError: too few runs or threads.
    """
    if not FEWEST <= args.runs <= MOST:
        raise UsageError(f"--runs {args.runs}", allowed=f"{FEWEST} to {MOST}; a median of fewer says nothing")
    if args.threads < 1:
        raise UsageError(f"--threads {args.threads}", allowed="1 or more")


def limit_threads(threads: int) -> None:
    """Hold numpy's pools to `threads`; it reads these once, when it is imported."""
    for name in THREAD_POOLS:
        os.environ[name] = str(threads)
