"""Figures of models on one test set: their intervals, and differences of models that were judged on the same rows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Replicates = NDArray[np.floating[Any]]
"""[resamples], a figure's value in each resample of the test set; NaN where it is undefined."""


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs with its 95 % interval; `significance` is the point in standard errors."""

    point: float
    low: float
    high: float
    significance: float

    @property
    def within_noise(self) -> bool:
        return self.low <= 0 <= self.high


def interval(drawn: Replicates) -> tuple[float, float]:
    """The central 95 % of the replicates that are defined; without one, infinitely wide."""
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return -math.inf, math.inf
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def difference(ours: float, theirs: float, drawn: Replicates, drawn_theirs: Replicates) -> Difference:
    """Of two values with their replicates, which must be of the same rows, pair by pair."""
    point, pairs = ours - theirs, drawn.astype(float) - drawn_theirs.astype(float)
    low, high = interval(pairs)
    known = pairs[np.isfinite(pairs)]
    error = float(known.std()) if len(known) else math.inf
    significance = abs(point) / error if error else math.inf if point else 0.0
    return Difference(point, low, high, significance)
