"""Figures of models on one test set: their intervals, and differences of models that were judged on the same rows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.statistics import interval

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


def difference(ours: float, theirs: float, drawn: Replicates, drawn_theirs: Replicates) -> Difference:
    """Of two values with their replicates, which must be of the same rows, pair by pair."""
    point, pairs = ours - theirs, drawn.astype(float) - drawn_theirs.astype(float)
    low, high = interval(pairs)
    known = pairs[np.isfinite(pairs)]
    error = float(known.std()) if len(known) else math.inf
    significance = abs(point) / error if error else math.inf if point else 0.0
    return Difference(point, low, high, significance)
