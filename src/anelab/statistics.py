"""Comparisons with an interval: a difference on one test set means little without one."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
CELLS = 2_000_000
"""Of one array of counts: 16 MB."""


def resamples(groups: NDArray[Any], number: int, seed: int) -> Iterator[Counts]:
    """How often each row is drawn when whole groups are drawn with replacement: float64 [k, n], some of the `number`
    resamples at a time. `groups` is [n], the unit of each row. Equal arguments draw equal rows."""
    _, unit = np.unique(groups, return_inverse=True)
    units, rng = int(unit.max(initial=-1)) + 1, np.random.default_rng([seed, 3])
    together = max(1, CELLS // max(len(groups), 1))
    for begin in range(0, number, together):
        drawn = np.zeros((min(together, number - begin), units))
        for line in drawn:
            line += np.bincount(rng.integers(0, units, units), minlength=units)
        yield drawn[:, unit]


def replicates(
    figures: Callable[[Counts], Mapping[str, NDArray[Any]]], groups: NDArray[Any], number: int, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Every figure's value in each resample, [number], NaN where it is undefined. `figures` takes counts, [k, n], and
    gives [k] by name. Equal `groups`, `number` and `seed` draw equal rows, so that the replicates of two models are
    pairs."""
    parts = [(len(counts), figures(counts)) for counts in resamples(groups, number, seed)]
    names = dict.fromkeys(name for _, part in parts for name in part)
    return {
        name: np.concatenate([part.get(name, np.full(size, np.nan)) for size, part in parts]).astype(np.float32)
        for name in names
    }


def interval(drawn: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """The central 95 % of the replicates that are defined; without one, infinitely wide."""
    defined = drawn[np.isfinite(drawn)]
    if not len(defined):
        return -math.inf, math.inf
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)
