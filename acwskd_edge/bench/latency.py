"""Latency on a machine that is never quiet: warm up until steady, then time all subjects in alternation.

A ratio between two subjects is the median of their ratios within each round, so that whatever slows the machine for
a second slows both. Nothing here knows of networks; a subject is a function without arguments.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Any

Clock = Callable[[], int]
"""Nanoseconds, as time.perf_counter_ns."""

WINDOW = 5  # runs whose median is compared with that of the runs before them
STEADY = 0.95  # a window faster than this share of the one before it says that warming has not ended
MOST_WARM_UP = 60  # runs
WARM_UP_SECONDS = 3.0
MIN_RUNS = 10  # timed runs of every subject, however slow
SECONDS_PER_SUBJECT = 20.0  # budget after which no further pair of rounds begins
TAIL = Fraction(1, 40)  # either side of a 95 % interval


PRECISE, BUDGET, ROUNDS = "precise", "budget", "rounds"
"""What ended the rounds: every interval narrow enough, the time spent, or all the rounds made."""


@dataclass(frozen=True)
class WarmUp:
    """Runs before the first timed one."""

    runs: int
    steady: bool  # False: it was still getting faster when the bound on runs or seconds was reached


@dataclass(frozen=True)
class Timings:
    """Timed runs of one subject: one per round, in the order of the rounds."""

    milliseconds: tuple[float, ...]
    warm_up: WarmUp
    stopped: str = ROUNDS  # precise, budget or rounds

    def to_dict(self) -> dict[str, Any]:
        """Percentiles and the median's 95 % interval in milliseconds; `n` is the number of timed runs.

        `spread` is the interval's width as a share of the median. With fewer than 100 runs p99 is the slowest of them.
        """
        interval, width = median_interval(self.milliseconds), spread(self.milliseconds)
        return {
            "n": len(self.milliseconds),
            "warm_up": self.warm_up.runs,
            "steady": self.warm_up.steady,
            "stopped": self.stopped,
            "median_ms": round(median(self.milliseconds), 4),
            "p90_ms": round(percentile(self.milliseconds, 0.9), 4),
            "p99_ms": round(percentile(self.milliseconds, 0.99), 4),
            "min_ms": round(min(self.milliseconds), 4),
            "median_ci95_ms": None if interval is None else [round(v, 4) for v in interval],
            "spread": None if width is None else round(width, 4),
        }


def warm_up(call: Callable[[], object], clock: Clock = time.perf_counter_ns) -> WarmUp:
    """Call until the latest `WINDOW` runs are no longer faster than those before them."""
    spent: list[float] = []
    while len(spent) < MOST_WARM_UP and (len(spent) < 2 or sum(spent) < WARM_UP_SECONDS * 1e9):
        started = clock()
        call()
        spent.append(clock() - started)
        before, latest = spent[-2 * WINDOW : -WINDOW], spent[-WINDOW:]
        if len(before) == WINDOW and median(latest) >= STEADY * median(before):
            return WarmUp(len(spent), True)
    return WarmUp(len(spent), False)


def interleave(
    calls: Mapping[str, Callable[[], object]],
    runs: int,
    clock: Clock = time.perf_counter_ns,
    seconds_per_subject: float = SECONDS_PER_SUBJECT,
    precision: float = 0.0,
    failed: dict[str, Exception] | None = None,
) -> dict[str, Timings]:
    """Time every subject once a round, rounds alternately forwards and backwards, after warming each up.

    Each timed run follows an untimed one of the same subject, so that it finds its own weights in the cache, as in a
    program that runs one network. The garbage collector is off meanwhile.

    Args:
        calls: name -> one forward pass.
        runs: rounds; fewer are made when the budget is spent, but never fewer than `MIN_RUNS`.
        precision: share of the median; the rounds end once every subject's 95 % interval is narrower. 0: never.
        failed: a subject that raises is dropped and its error lands here; without it, the error is the caller's.
    """
    live, warmed = dict(calls), {}
    for name, call in calls.items():
        with dropping(name, live, failed):
            warmed[name] = warm_up(call, clock)
    samples: dict[str, list[float]] = {name: [] for name in live}
    begun, budget, stopped = clock(), seconds_per_subject * 1e9 * len(calls), ROUNDS
    collecting = gc.isenabled()
    gc.disable()
    try:
        for done in range(runs):
            if done >= MIN_RUNS and done % 2 == 0:
                if precision and all(precise(samples[name], precision) for name in live):
                    stopped = PRECISE
                    break
                if clock() - begun > budget:
                    stopped = BUDGET
                    break
            for name in list(live) if done % 2 == 0 else reversed(list(live)):
                with dropping(name, live, failed):
                    calls[name]()
                    started = clock()
                    calls[name]()
                    samples[name].append((clock() - started) / 1e6)
    finally:
        if collecting:
            gc.enable()
    return {name: Timings(tuple(samples[name]), warmed[name], stopped) for name in live}


@contextmanager
def dropping(name: str, live: dict[str, Callable[[], object]], failed: dict[str, Exception] | None) -> Iterator[None]:
    """Take a subject that raises out of `live`."""
    try:
        yield
    except Exception as error:
        if failed is None:
            raise
        del live[name]
        failed[name] = error


def spread(values: Sequence[float]) -> float | None:
    """Width of the median's 95 % interval as a share of the median; None for fewer than six values."""
    interval = median_interval(values)
    return None if interval is None else (interval[1] - interval[0]) / median(values)


def precise(values: Sequence[float], share: float) -> bool:
    """Whether the median is known as closely as wanted."""
    width = spread(values)
    return width is not None and width <= share


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % confidence interval of the median by order statistics; None for fewer than six values.

    The number of values below the true median is binomial(n, 1/2), whatever the distribution of the values.
    """
    ordered, n = sorted(values), len(values)
    rank, term, below = 0, 1, 1  # whole numbers: binomial coefficients of n, exact for any n
    while rank < n // 2 and below <= TAIL * 2**n:
        term = term * (n - rank) // (rank + 1)
        rank += 1
        below += term
    return (ordered[rank - 1], ordered[-rank]) if rank else None


def speedup(subject: Timings, baseline: Timings) -> dict[str, Any]:
    """How many times faster the subject is: median over rounds of baseline / subject, with its 95 % interval."""
    ratios = [slow / fast for slow, fast in zip(baseline.milliseconds, subject.milliseconds, strict=True)]
    interval = median_interval(ratios)
    return {
        "ratio": round(median(ratios), 4),
        "ci95": None if interval is None else [round(v, 4) for v in interval],
    }
