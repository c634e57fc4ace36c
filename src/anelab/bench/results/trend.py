"""One figure over many results: the noise that its own past shows, and where it leaves it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from anelab.bench.results.compare import BETWEEN_RUNS

WINDOW = 30
LEAST_PAST = 3
"""With fewer earlier values no noise is known."""
WIDTH = 3 * 1.4826
"""Median absolute deviations on each side; 1.4826 of them are a standard deviation of normal noise."""
OTHER_NETWORK: Final = "another network"
Change = Literal["", "regression", "improvement", "change", "another network"]
"""`change` where nobody knows which direction is better; `another network` where a time is of another architecture."""


@dataclass(frozen=True)
class Point:
    """A value, the band in which its past lets it be expected (None if too little is known), and the verdict."""

    value: float
    low: float | None
    high: float | None
    change: Change


LEAST = 1e-3
"""Of a time in any unit. A store may hold one that is none, from before results were checked for it."""


def times(values: Sequence[float]) -> list[Point]:
    """Of positive values of which less is better and which vary by ratios, such as times in any unit: 5 % at least is
    noise between runs."""
    found = _trend([math.log(max(value, LEAST)) for value in values], math.log1p(BETWEEN_RUNS), -1)
    return [Point(value, _exp(one.low), _exp(one.high), one.change) for value, one in zip(values, found, strict=True)]


def _exp(bound: float | None) -> float | None:
    return None if bound is None else math.exp(bound)


def figures(values: Sequence[float], direction: int) -> list[Point]:
    """Of values that vary by differences, such as accuracies. Training repeats exactly, so all noise is their own.
    `direction`: 1 if higher is better, -1 if lower is, 0 if nobody knows."""
    return _trend(list(values), 1e-9, direction)


def _trend(values: Sequence[float], floor: float, direction: int) -> list[Point]:
    """Each value against up to WINDOW before it. Two in a row beyond the same side are a new level: the past begins
    anew with them, and only the first is called a change."""
    found: list[Point] = []
    past: list[float] = []
    side = 0
    for value in values:
        low, high = _band(past[-WINDOW:], floor)
        beyond = 0 if low is None or high is None else (value > high) - (value < low)
        if beyond and beyond == side:
            past, side, change = [past[-1], value], 0, 0
        else:
            past, side, change = [*past, value], beyond, beyond
        found.append(Point(value, low, high, _named(change, direction)))
    return found


def _named(change: int, direction: int) -> Change:
    if not change:
        return ""
    return "change" if not direction else "improvement" if change == direction else "regression"


def _band(past: Sequence[float], floor: float) -> tuple[float | None, float | None]:
    if len(past) < LEAST_PAST:
        return None, None
    middle = float(np.median(past))
    reach = max(floor, WIDTH * float(np.median(np.abs(np.array(past) - middle))))
    return middle - reach, middle + reach
