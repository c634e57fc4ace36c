"""Comparisons with an interval: a difference on one test set means little without one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A point estimate and the bounds of its central 95 % bootstrap interval."""

    point: float
    low: float
    high: float


def grouped_bootstrap(figure: Callable[[Indices], float], groups: NDArray[Any], resamples: int, seed: int) -> Interval:
    """Percentile interval of `figure(rows)` when whole groups are drawn with replacement.

    `groups` is [n], the unit of each row; `figure` takes row indices. For a paired comparison let it
    return the difference of both sides on the same rows. Replicates that are undefined (one class
    only) are left out.
    """
    values = np.array([figure(rows) for rows in _draws(groups, resamples, seed)])
    values = values[np.isfinite(values)]
    point = figure(np.arange(len(groups)))
    if not values.size:
        return Interval(point, float("-inf"), float("inf"))
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(point, float(low), float(high))


def replicates(
    figures: Callable[[Indices], Mapping[str, float]], groups: NDArray[Any], resamples: int, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Every figure's value in each resample, [resamples], NaN where it is undefined. Equal `groups`, `resamples` and
    `seed` draw equal rows, so that the replicates of two models are pairs."""
    drawn = [figures(rows) for rows in _draws(groups, resamples, seed)]
    names = dict.fromkeys(name for one in drawn for name in one)
    return {name: np.array([one.get(name, np.nan) for one in drawn], dtype=np.float32) for name in names}


def _draws(groups: NDArray[Any], resamples: int, seed: int) -> Iterator[Indices]:
    """Rows of whole groups, drawn with replacement."""
    order, starts, sizes = _members(groups)
    rng = np.random.default_rng([seed, 3])
    for _ in range(resamples):
        drawn = rng.integers(0, len(starts), len(starts))
        yield order[_spans(starts[drawn], sizes[drawn])]


def _members(groups: NDArray[Any]) -> tuple[Indices, Indices, Indices]:
    """Rows sorted by group, and where each group's run starts and how long it is."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    return order, starts, sizes


def _spans(starts: Indices, sizes: Indices) -> Indices:
    """The runs [start, start + size) one after the other."""
    before = np.cumsum(sizes) - sizes
    runs: Indices = np.arange(sizes.sum()) + np.repeat(starts - before, sizes)
    return runs
