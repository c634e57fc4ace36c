"""Statistics of samples: percentiles with enough behind them, outliers, and paired comparison with an interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
CONFIDENCE = 0.99
MILD, FAR = 1.5, 3.0
LEAST_FLOOR = 0.01
"""No difference below one per cent is called one, however quiet the machine."""
LEAST_BLOCKS = 6
"""With fewer blocks not even all of one sign would be unlikely under no difference (2 / 2**5 = 0.06)."""


def least_count(percentile: float) -> int:
    """Samples from which a percentile is known with 99 % confidence, with one exceedance allowed: 11 for p50, 64 for
    p90, 130 for p95, 662 for p99, 6,636 for p99.9 (the rule of MLPerf's LoadGen)."""
    q, count = percentile / 100, 1
    while q**count + count * (1 - q) * q ** (count - 1) > 1 - CONFIDENCE:
        count += 1
    return count


LEAST_COUNTS = {percentile: least_count(percentile) for percentile in PERCENTILES}


def percentiles(samples: Numbers) -> dict[str, float]:
    """Those that the number of samples bears, by names like p50 and p99.9."""
    borne = [percentile for percentile in PERCENTILES if len(samples) >= LEAST_COUNTS[percentile]]
    return {f"p{percentile:g}": float(np.percentile(samples, percentile)) for percentile in borne}


def outlier_labels(samples: NDArray[Any]) -> NDArray[np.int8]:
    """0 for none, 1 beyond 1.5 and 2 beyond 3 interquartile ranges (Tukey). A range below one per cent of the median is
    the clock's, and counts as one per cent."""
    low, median, high = np.percentile(samples, [25, 50, 75])
    beyond, width = np.maximum(low - samples, samples - high), max(high - low, 0.01 * median)
    labels: NDArray[np.int8] = np.add(beyond > MILD * width, beyond > FAR * width, dtype=np.int8)
    return labels


@dataclass(frozen=True)
class Paired:
    """A speed-up as logarithms: the estimate and its 95 % interval."""

    blocks: int
    log: float
    low: float
    high: float
    p_value: float

    @property
    def floor(self) -> float:
        """How far from no difference the interval reaches."""
        return max(abs(self.low), abs(self.high))


def paired(blocks: Sequence[Sequence[tuple[float, float]]], resamples: int, seed: int) -> Paired | None:
    """The speed-up of one arm over another: for every block, (median of the other, median of the arm) of each round.

    A block's value is the median of its rounds' log-ratios, and the speed-up the median of the blocks: one disturbed
    process must not decide. The interval is of a bootstrap that draws whole blocks, that is processes, with
    replacement; of ten blocks it covers the truth 93 times in 100. None if there are fewer than two blocks.
    """
    values = np.array([np.median([math.log(other / arm) for other, arm in rounds]) for rounds in blocks if rounds])
    if len(values) < 2:
        return None
    drawn = np.random.default_rng([seed, 7]).integers(0, len(values), (resamples, len(values)))
    low, high = np.quantile(np.median(values[drawn], axis=1), [0.025, 0.975])
    return Paired(len(values), float(np.median(values)), float(low), float(high), sign_flip(values, seed))


def sign_flip(values: Numbers, seed: int, most: int = 4096) -> float:
    """Two-sided p-value of a mean as far from 0 when each block's sign is a coin's: all ways, or `most` drawn. A check
    on the interval, from another statistic."""
    count = len(values)
    if 2**count <= most:
        signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    else:
        signs = np.random.default_rng([seed, 8]).choice([-1, 1], (most, count))
    means = np.abs((signs * values).mean(axis=1))
    return float((means >= abs(values.mean()) * (1 - 1e-12)).mean())
