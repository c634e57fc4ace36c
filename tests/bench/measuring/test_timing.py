"""The clock, by a clock that stands still unless told: no test here depends on how fast the machine is."""

from itertools import cycle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anelab.bench.measuring import timing


class Clock:
    """Time passes only in calls and sleeps."""

    def __init__(self) -> None:
        self.now = 0

    def perf_counter_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)

    def taking(self, *durations: int) -> Any:
        """A call that takes the durations in turn, the last one ever after."""
        left = list(durations)

        def call() -> None:
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    fake = SimpleNamespace(perf_counter_ns=found.perf_counter_ns, sleep=found.sleep)
    monkeypatch.setattr(timing, "time", fake)
    return found


def test_it_stops_when_both_duration_and_count_are_reached(clock: Clock) -> None:
    assert len(timing.time_calls(cycle([clock.taking(10)]), min_ns=95, min_count=3)) == 10
    assert len(timing.time_calls(cycle([clock.taking(10)]), min_ns=5, min_count=30)) == 30


def test_calls_take_turns_and_each_is_timed_alone(clock: Clock) -> None:
    samples = timing.time_calls(cycle([clock.taking(10), clock.taking(70)]), 0, 4)
    assert samples.tolist() == [10, 70, 10, 70]


def test_warm_up_ends_when_doublings_agree(clock: Clock) -> None:
    samples, steady = timing.warm_up(cycle([clock.taking(5000, 3000, 900, 200, 100)]), budget_ns=10**9)
    assert steady
    assert samples[0] == 5000
    assert len(samples) == 1 + 2 + 4 + 8 + 16  # the medians of 4, 8 and 16 calls agree


def test_warm_up_that_never_settles_is_said_to_be_so(clock: Clock) -> None:
    samples, steady = timing.warm_up(cycle([clock.taking(*range(100, 10**6, 500))]), budget_ns=10**7)
    assert not steady
    assert samples.sum() >= 10**7


def test_latency_counts_from_the_arrival_not_from_the_call(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One slow request makes those behind it late, though their own calls are quick."""
    monkeypatch.setattr(timing, "_wait_until", lambda due: setattr(clock, "now", max(clock.now, due)))
    rng = SimpleNamespace(exponential=lambda scale, count: np.full(count, 100.0))
    latencies, kept_up = timing.serve_arrivals(cycle([clock.taking(10, 350, 10)]), 1e7, 10, rng)  # type: ignore[arg-type]
    assert latencies.tolist()[:6] == [10, 350, 260, 170, 80, 10]
    assert kept_up


def test_an_arm_slower_than_its_arrivals_fell_behind(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_wait_until", lambda due: setattr(clock, "now", max(clock.now, due)))
    rng = np.random.default_rng(0)
    _, kept_up = timing.serve_arrivals(cycle([clock.taking(1000)]), rate_hz=2e6, count=500, rng=rng)
    assert not kept_up


def test_calls_after_a_gap_do_not_count_the_gap(clock: Clock) -> None:
    assert timing.time_after_gaps(cycle([clock.taking(7)]), 10**6, 3).tolist() == [7, 7, 7]
    assert clock.now == 3 * (10**6 + 7)
