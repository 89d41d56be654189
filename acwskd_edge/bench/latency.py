"""Latency on a machine that is never quiet: warm up until steady, then time all subjects in alternation.

A ratio between two subjects is the mean of their ratios within each round, so that whatever slows the machine for
a second slows both. A fast subject may have a turn of many runs in a round: one run of a millisecond beside one of a
third of a second would meet another machine. Nothing here knows of networks; a subject is a function without arguments.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import NormalDist, fmean, median, stdev
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
Z = NormalDist().inv_cdf(1 - float(TAIL))
TURN = 0.1  # seconds, where networks of very different speed are compared
FEWEST_RATIOS = 6  # that have an interval, as many as a median needs


PRECISE, BUDGET, ROUNDS = "precise", "budget", "rounds"
"""What ended the rounds: every interval narrow enough, the time spent, or all the rounds made."""


@dataclass(frozen=True)
class WarmUp:
    """Runs before the first timed one."""

    runs: int
    steady: bool  # False: it was still getting faster when the bound on runs or seconds was reached
    ms: float = 0.0  # median of its latest runs, milliseconds


@dataclass(frozen=True)
class Timings:
    """Timed runs of one subject, round by round."""

    rounds: tuple[tuple[float, ...], ...]  # milliseconds; every round at least one run
    warm_up: WarmUp
    stopped: str = ROUNDS  # precise, budget or rounds

    @classmethod
    def of(cls, milliseconds: Sequence[float], warm_up: WarmUp, stopped: str = ROUNDS) -> Timings:
        """Of one run a round."""
        return cls(tuple((one,) for one in milliseconds), warm_up, stopped)

    @property
    def milliseconds(self) -> tuple[float, ...]:
        """Every timed run."""
        return tuple(one for turn in self.rounds for one in turn)

    @property
    def medians(self) -> list[float]:
        """The median of every round's runs, milliseconds."""
        return [median(turn) for turn in self.rounds]

    def to_dict(self) -> dict[str, Any]:
        """Percentiles and the median's 95 % interval in milliseconds; `n` is the number of timed runs.

        The median and its interval are those of the rounds' medians, for runs of one turn are alike; percentiles are
        of all runs. `spread` is the interval's width as a share of the median. With fewer than 100 runs p99 is the
        slowest of them.
        """
        interval, width = median_interval(self.medians), spread(self.medians)
        return {
            "n": len(self.milliseconds),
            "rounds": len(self.rounds),
            "warm_up": self.warm_up.runs,
            "steady": self.warm_up.steady,
            "stopped": self.stopped,
            "median_ms": round(median(self.medians), 4),
            "p90_ms": round(percentile(self.milliseconds, 0.9), 4),
            "p99_ms": round(percentile(self.milliseconds, 0.99), 4),
            "min_ms": round(min(self.milliseconds), 4),
            "median_ci95_ms": None if interval is None else [round(v, 4) for v in interval],
            "spread": None if width is None else round(width, 4),
        }


def warm_up(
    call: Callable[[], object], clock: Clock = time.perf_counter_ns, seconds: float = WARM_UP_SECONDS
) -> WarmUp:
    """Call until the latest `WINDOW` runs are no longer faster than those before them, or for so many seconds."""
    spent: list[float] = []
    steady = False
    while not steady and len(spent) < MOST_WARM_UP and (len(spent) < 2 or sum(spent) < seconds * 1e3):
        spent += timed(call, 1, clock)
        before, latest = spent[-2 * WINDOW : -WINDOW], spent[-WINDOW:]
        steady = len(before) == WINDOW and median(latest) >= STEADY * median(before)
    return WarmUp(len(spent), steady, median(spent[-WINDOW:]))


def interleave(
    calls: Mapping[str, Callable[[], object]],
    runs: int,
    clock: Clock = time.perf_counter_ns,
    seconds_per_subject: float = SECONDS_PER_SUBJECT,
    precision: float = 0.0,
    failed: dict[str, Exception] | None = None,
    turn: float = 0.0,
    fewest: int = MIN_RUNS,
    warm_up_seconds: float = WARM_UP_SECONDS,
) -> dict[str, Timings]:
    """Time every subject in every round, rounds alternately forwards and backwards, after warming each up.

    A subject's timed runs follow an untimed one of it, so that they find its own weights in the cache, as in a
    program that runs one network. The garbage collector is off meanwhile.

    Args:
        calls: name -> one forward pass.
        runs: rounds; fewer are made when the budget is spent, but never fewer than `fewest`.
        precision: share of the median; the rounds end once every subject's 95 % interval is narrower. 0: never.
        failed: a subject that raises is dropped and its error lands here; without it, the error is the caller's.
        turn: seconds that a subject's runs in one round fill, as far as whole runs can; 0: one run.
        fewest: rounds that are made however long they take.
        warm_up_seconds: of each subject at most, if two runs do not take longer.
    """
    live, warmed, turns = dict(calls), {}, {}
    for name, call in calls.items():
        with dropping(name, live, failed):
            warmed[name] = warm_up(call, clock, warm_up_seconds)
            turns[name] = max(1, round(turn * 1e3 / warmed[name].ms)) if turn else 1
    samples: dict[str, list[tuple[float, ...]]] = {name: [] for name in live}
    begun, budget, stopped = clock(), seconds_per_subject * 1e9 * len(calls), ROUNDS
    collecting = gc.isenabled()
    gc.disable()
    try:
        for done in range(runs):
            if done >= fewest and done % 2 == 0:
                if precision and all(precise([median(one) for one in samples[name]], precision) for name in live):
                    stopped = PRECISE
                    break
                if clock() - begun > budget:
                    stopped = BUDGET
                    break
            for name in list(live) if done % 2 == 0 else reversed(list(live)):
                with dropping(name, live, failed):
                    calls[name]()
                    samples[name].append(timed(calls[name], turns[name], clock))
    finally:
        if collecting:
            gc.enable()
    return {name: Timings(tuple(samples[name]), warmed[name], stopped) for name in live}


def timed(call: Callable[[], object], runs: int, clock: Clock) -> tuple[float, ...]:
    """Milliseconds of each of so many runs, one after another."""
    found = []
    for _ in range(runs):
        started = clock()
        call()
        found.append((clock() - started) / 1e6)
    return tuple(found)


def joined(parts: Sequence[Timings]) -> Timings:
    """Sessions of one subject as one; precise only if each of them was."""
    rounds = tuple(turn for one in parts for turn in one.rounds)
    warm_up = replace(parts[0].warm_up, runs=sum(one.warm_up.runs for one in parts))
    others = [one.stopped for one in parts if one.stopped != PRECISE]
    return Timings(rounds, warm_up, others[-1] if others else PRECISE)


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
    """Times faster the subject is: geometric mean over rounds of baseline / subject, with its 95 % interval."""
    return summary(ratios(subject, baseline))


def ratios(subject: Timings, baseline: Timings) -> list[float]:
    """baseline / subject in every round.

    A turn counts with its mean, for an interruption of the machine strikes one long run as often as many short ones.
    """
    return [fmean(slow) / fmean(fast) for slow, fast in zip(baseline.rounds, subject.rounds, strict=True)]


def summary(found: Sequence[float]) -> dict[str, Any]:
    """Geometric mean of the rounds' ratios and Student's 95 % interval of it; no interval for fewer than six.

    Not their median: where a machine is fast in some rounds and slow in others, a median falls on either side, and two
    measurements agree less.
    """
    logs, n = [math.log(one) for one in found], len(found)
    middle = fmean(logs)
    ends = None
    if n >= FEWEST_RATIOS:
        half = student(n - 1) * stdev(logs) / math.sqrt(n)
        ends = [round(math.exp(middle - half), 4), round(math.exp(middle + half), 4)]
    return {"ratio": round(math.exp(middle), 4), "ci95": ends}


def student(freedom: int) -> float:
    """Quantile .975 of Student's t (Abramowitz and Stegun 26.7.5); 3e-3 off at five degrees of freedom, less above."""
    z, n = Z, freedom
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3
