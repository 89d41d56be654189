from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from acwskd_edge.bench.latency import (
    MIN_RUNS,
    MOST_WARM_UP,
    WINDOW,
    Timings,
    WarmUp,
    interleave,
    joined,
    median_interval,
    percentile,
    speedup,
    student,
    summary,
    warm_up,
)


@dataclass
class FakeClock:
    """Time that passes only when a subject says so."""

    now: int = 0
    log: list[str] = field(default_factory=list)

    def __call__(self) -> int:
        return self.now

    def subject(self, name: str, milliseconds: list[float]) -> object:
        """A call that takes the given times in turn, the last one for ever."""
        left = list(milliseconds)

        def call() -> None:
            self.log.append(name)
            self.now += int((left.pop(0) if len(left) > 1 else left[0]) * 1e6)

        return call


def test_warm_up_ends_when_runs_no_longer_get_faster() -> None:
    clock = FakeClock()
    assert warm_up(clock.subject("a", [5.0]), clock).runs == 2 * WINDOW
    falling = [100.0 * 0.8**i for i in range(20)] + [1.0]
    assert warm_up(clock.subject("b", falling), clock).runs > 20


def test_warm_up_is_bounded_in_runs_and_in_seconds() -> None:
    clock = FakeClock()
    for_ever_faster = [1000 * 0.9**i * 1e-3 for i in range(200)]
    assert warm_up(clock.subject("a", for_ever_faster), clock).runs == MOST_WARM_UP
    assert warm_up(clock.subject("b", [4000.0]), clock).runs == 2


def test_rounds_alternate_and_each_timed_run_follows_an_untimed_one_of_the_same_subject() -> None:
    clock = FakeClock()
    calls = {name: clock.subject(name, [1.0]) for name in "abc"}
    timed = interleave(calls, 4, clock)
    assert "".join(clock.log[-24:]) == "aabbccccbbaa" * 2
    assert all(len(one.milliseconds) == 4 for one in timed.values())


def test_a_turn_has_so_many_runs_of_a_fast_subject_as_fill_it() -> None:
    clock = FakeClock()
    calls = {"slow": clock.subject("slow", [400.0]), "fast": clock.subject("fast", [4.0])}
    timed = interleave(calls, 4, clock, turn=0.1)
    assert {name: {len(one) for one in found.rounds} for name, found in timed.items()} == {"slow": {1}, "fast": {25}}
    assert timed["fast"].to_dict()["n"] == 100
    assert timed["fast"].to_dict()["rounds"] == 4


def test_the_budget_ends_the_rounds_in_pairs_and_equally_for_all() -> None:
    clock = FakeClock()
    calls = {"slow": clock.subject("slow", [400.0]), "fast": clock.subject("fast", [1.0])}
    timed = interleave(calls, 1000, clock, seconds_per_subject=10.0)
    lengths = {len(one.milliseconds) for one in timed.values()}
    assert len(lengths) == 1
    (n,) = lengths
    assert n % 2 == 0
    assert MIN_RUNS <= n < 40


def test_a_slow_subject_still_gets_the_fewest_runs() -> None:
    clock = FakeClock()
    timed = interleave({"a": clock.subject("a", [60_000.0])}, 50, clock)
    assert len(timed["a"].milliseconds) == MIN_RUNS


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.9, 9.0), (1.0, 10.0), (0.5, 5.0), (0.05, 1.0)],
)
def test_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(v) for v in range(10, 0, -1)], share) == expected


@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (10, 2, 9), (20, 6, 15), (50, 18, 33), (100, 40, 61)])
def test_median_interval_has_the_ranks_of_the_printed_tables(n: int, low: int, high: int) -> None:
    assert median_interval([float(v) for v in range(1, n + 1)]) == (low, high)


def test_median_interval_needs_six_values_and_takes_many() -> None:
    assert median_interval([1.0] * 5) is None
    low, high = median_interval(list(np.linspace(0, 1, 5001))) or (math.nan, math.nan)
    assert low < 0.5 < high
    assert high - low < 0.03


def test_median_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        low, high = median_interval(list(rng.lognormal(size=30))) or (math.nan, math.nan)
        hits += low <= 1.0 <= high  # the median of a standard lognormal
    assert 940 <= hits <= 985


def test_a_ratio_is_taken_within_rounds_so_drift_cancels() -> None:
    drift = [1.0 + 0.2 * i for i in range(20)]
    fast = Timings.of(tuple(2.0 * one for one in drift), WarmUp(10, True))
    slow = Timings.of(tuple(6.0 * one for one in drift), WarmUp(10, True))
    found = speedup(fast, slow)
    assert found["ratio"] == pytest.approx(3.0)
    assert found["ci95"] == pytest.approx([3.0, 3.0])


def test_a_ratio_is_the_geometric_mean_with_students_interval() -> None:
    found = summary([10.0, 40.0] * 5)
    assert found["ratio"] == pytest.approx(20.0)
    half = 2.2622 * math.log(2) * math.sqrt(10 / 9) / math.sqrt(10)  # t(.975, 9)
    assert found["ci95"] == pytest.approx([20 * math.exp(-half), 20 * math.exp(half)], rel=1e-3)
    assert summary([2.0] * 5) == {"ratio": 2.0, "ci95": None}


@pytest.mark.parametrize(("freedom", "expected"), [(5, 2.5706), (9, 2.2622), (29, 2.0452), (199, 1.9720)])
def test_student_is_that_of_the_tables(freedom: int, expected: float) -> None:
    assert student(freedom) == pytest.approx(expected, abs=3e-3)


def test_a_turn_counts_with_its_mean_in_a_ratio_and_its_median_in_a_latency() -> None:
    fast = Timings(((1.0, 1.0, 4.0),) * 10, WarmUp(10, True))
    slow = Timings(((60.0,),) * 10, WarmUp(10, True))
    assert speedup(fast, slow)["ratio"] == pytest.approx(30.0)
    assert fast.to_dict()["median_ms"] == 1.0
    assert fast.to_dict()["p90_ms"] == 4.0


def test_sessions_are_joined() -> None:
    parts = [Timings(((1.0, 2.0), (3.0,)), WarmUp(4, True), "budget"), Timings(((5.0,),), WarmUp(6, False), "precise")]
    assert joined(parts) == Timings(((1.0, 2.0), (3.0,), (5.0,)), WarmUp(10, True), "budget")


def test_same_against_same_is_near_one_and_a_planted_slower_artefact_is_found() -> None:
    def work() -> None:
        sum(range(20_000))

    def slower() -> None:
        work()
        time.sleep(0.01)

    timed = interleave({"one": work, "two": work, "slow": slower}, 20)
    assert 0.5 < speedup(timed["one"], timed["two"])["ratio"] < 2.0
    found = speedup(timed["one"], timed["slow"])
    assert found["ratio"] > 3
    assert found["ci95"][0] > 1


def test_a_summary_has_its_numbers_in_order() -> None:
    summary = Timings.of(tuple(float(v) for v in range(1, 41)), WarmUp(12, True)).to_dict()
    assert summary["n"] == 40
    assert summary["warm_up"] == 12
    low, high = summary["median_ci95_ms"]
    assert summary["min_ms"] < low < summary["median_ms"] < high < summary["p90_ms"] < summary["p99_ms"]


def test_rounds_end_once_every_median_is_known_closely_enough() -> None:
    clock = FakeClock()
    noisy = [1.0 + 0.5 * (i % 7) for i in range(4000)]
    calls = {"steady": clock.subject("steady", [2.0]), "noisy": clock.subject("noisy", noisy)}
    alone = interleave({"steady": clock.subject("steady", [2.0])}, 1000, clock, precision=0.03)
    assert (len(alone["steady"].milliseconds), alone["steady"].stopped) == (MIN_RUNS, "precise")
    both = interleave(calls, 400, clock, precision=0.03)
    assert len(both["steady"].milliseconds) == len(both["noisy"].milliseconds) > MIN_RUNS


def test_what_ended_the_rounds_is_recorded() -> None:
    clock = FakeClock()
    assert interleave({"a": clock.subject("a", [1.0])}, 12, clock)["a"].stopped == "rounds"
    found = interleave({"a": clock.subject("a", [900.0])}, 100, clock, seconds_per_subject=1.0)
    assert found["a"].stopped == "budget"


@pytest.mark.parametrize("breaks_at", [0, 40])
def test_a_subject_that_raises_is_dropped_and_the_others_go_on(breaks_at: int) -> None:
    clock, calls = FakeClock(), 0

    def breaks() -> None:
        nonlocal calls
        calls += 1
        clock.now += 1_000_000
        if calls > breaks_at:
            raise OSError("device is gone")

    failed: dict[str, Exception] = {}
    timed = interleave({"good": clock.subject("good", [1.0]), "bad": breaks}, 40, clock, failed=failed)
    assert list(timed) == ["good"]
    assert len(timed["good"].milliseconds) == 40
    assert str(failed["bad"]) == "device is gone"
    with pytest.raises(OSError, match="gone"):
        interleave({"bad": breaks}, 10, clock)


def test_warming_that_never_ends_is_told() -> None:
    clock = FakeClock()
    assert warm_up(clock.subject("a", [5.0]), clock).steady
    assert not warm_up(clock.subject("b", [0.9**i for i in range(200)]), clock).steady
