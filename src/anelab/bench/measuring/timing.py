"""The clock: warm-up, timed slices, arrivals, gaps. Nanoseconds by `time.perf_counter_ns`, garbage collection off."""

import gc
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.bench.arms.contract import Call

Nanoseconds = NDArray[np.int64]

STEADY_WITHIN = 0.05
"""Warm-up has ended when two doublings in a row change the median by no more than this share ..."""
STEADY_AGREEMENTS = 2
STEADY_FROM = 8
"""... from so many calls a doubling on."""
SPIN_NS = 500_000
"""The last part of a wait is spun: sleeping overshoots by up to that much."""


@contextmanager
def _uncollected() -> Iterator[None]:
    """What there was before is frozen by the worker, so that collecting between slices is quick."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def time_calls(calls: Iterator[Call], min_ns: int, min_count: int) -> Nanoseconds:
    """Time of each call until both the duration and the count are reached."""
    clock, samples = time.perf_counter_ns, array("q")
    add = samples.append
    with _uncollected():
        end = clock() + min_ns
        for call in calls:
            before = clock()
            call()
            after = clock()
            add(after - before)
            if after >= end and len(samples) >= min_count:
                break
    return np.frombuffer(samples, np.int64)


def warm_up(calls: Iterator[Call], budget_ns: int) -> tuple[Nanoseconds, bool]:
    """Calls in doublings until their median stays, or the budget is spent: the samples, and whether it stayed."""
    parts, agreements, previous = [], 0, 0.0
    end, count = time.perf_counter_ns() + budget_ns, 1
    while True:
        parts.append(time_calls(calls, 0, count))
        median = float(np.median(parts[-1]))
        near = abs(median - previous) <= STEADY_WITHIN * previous
        agreements = agreements + 1 if near and count >= STEADY_FROM else 0
        if agreements >= STEADY_AGREEMENTS or time.perf_counter_ns() >= end:
            return np.concatenate(parts), agreements >= STEADY_AGREEMENTS
        previous, count = median, 2 * count


def serve_arrivals(calls: Iterator[Call], rate_hz: float, count: int, rng: np.random.Generator) -> tuple[Any, bool]:
    """Latency of each of `count` requests that arrive as a Poisson process, from its arrival on, so that waiting for
    the one before counts; and whether the arm kept up with them."""
    arrivals = np.cumsum(rng.exponential(1e9 / rate_hz, count)).astype(np.int64)
    clock, latencies = time.perf_counter_ns, np.empty(count, np.int64)
    with _uncollected():
        start = clock()
        for index, call in zip(range(count), calls, strict=False):
            due = start + int(arrivals[index])
            _wait_until(due)
            call()
            latencies[index] = clock() - due
        ended = clock()
    behind = ended - start - int(arrivals[-1])
    return latencies, behind <= 0.05 * int(arrivals[-1]) + int(np.median(latencies))


def time_after_gaps(calls: Iterator[Call], gap_ns: int, count: int) -> Nanoseconds:
    """Time of each of `count` calls that follow an idle gap."""
    clock, samples = time.perf_counter_ns, np.empty(count, np.int64)
    with _uncollected():
        for index, call in zip(range(count), calls, strict=False):
            time.sleep(gap_ns / 1e9)
            before = clock()
            call()
            samples[index] = clock() - before
    return samples


def _wait_until(due: int) -> None:
    left = due - time.perf_counter_ns()
    if left > 2 * SPIN_NS:
        time.sleep((left - SPIN_NS) / 1e9)
    while time.perf_counter_ns() < due:
        pass
