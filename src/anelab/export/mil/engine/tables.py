"""Functions of one element as the Neural Engine reads them from tables: 33 values, straight lines between them.

Source: 751K/Apple-Neural-Engine-Microarchitecture-Study-M6 (MIT), chapter 8, tables 8-6 and 8-7; M6 only. The values
are 16-bit samples of the functions. How the engine rounds between two values was not published, so results here are
approximate between them. The values of gelu and silu are fitted, not samples, and were not published either: these
two are not here.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


class Table:
    """Values of `function` from `low` on, one every `step`; constant outside."""

    def __init__(self, function: Function, low: float, step: float, count: int = 33) -> None:
        self.low, self.step, self.last = low, step, count - 1
        self.values = function(low + step * torch.arange(count, dtype=torch.float64)).half().double()

    def __call__(self, x: Tensor) -> Tensor:
        place = ((x - self.low) / self.step).clamp(0, self.last)
        left = place.floor().clamp(max=self.last - 1)
        index = left.long()
        below, above = self.values[index], self.values[index + 1]
        return below + (place - left) * (above - below)


SIGMOID = Table(torch.sigmoid, -8.0, 0.5)
TANH = Table(torch.tanh, 0.0, 0.125)
ERF = Table(torch.erf, 0.0, 1 / 16)
SINE = Table(torch.sin, 0.0, math.pi / 64)
POWER = Table(torch.exp2, 0.0, 1 / 32)
LOGARITHM = Table(torch.log2, 0.5, 1 / 64)
ROOT = Table(torch.sqrt, 0.5, 1 / 16, 25)
INVERSE_ROOT = Table(torch.rsqrt, 0.5, 1 / 16, 25)
INVERSE = Table(torch.reciprocal, 0.5, 1 / 64)


def sigmoid(x: Tensor) -> Tensor:
    inside = SIGMOID(x)
    return torch.where(x < -8, 0.0, torch.where(x > 8, 1.0, inside))


def tanh(x: Tensor) -> Tensor:
    return _odd(TANH, x, 4.0)


def erf(x: Tensor) -> Tensor:
    return _odd(ERF, x, 2.0)


def _odd(table: Table, x: Tensor, last: float) -> Tensor:
    size = x.abs()
    return torch.where(size > last, 1.0, table(size)).copysign(x)


def sin(x: Tensor) -> Tensor:
    turn = torch.remainder(x, 2 * math.pi)
    half = torch.remainder(turn, math.pi)
    return SINE(torch.minimum(half, math.pi - half)) * torch.where(turn < math.pi, 1.0, -1.0)


def exp(x: Tensor) -> Tensor:
    power = x / math.log(2)
    whole = power.floor()
    return torch.ldexp(POWER(power - whole), whole)


def log(x: Tensor) -> Tensor:
    fraction, exponent = torch.frexp(x)
    found = (LOGARITHM(fraction) + exponent) * math.log(2)
    return torch.where(x > 0, found, torch.where(x == 0, -torch.inf, torch.nan))


def sqrt(x: Tensor) -> Tensor:
    fraction, half = _even(x)
    return torch.where(x > 0, torch.ldexp(ROOT(fraction), half), torch.where(x == 0, 0.0, torch.nan))


def rsqrt(x: Tensor) -> Tensor:
    fraction, half = _even(x)
    found = torch.ldexp(INVERSE_ROOT(fraction), -half)
    return torch.where(x > 0, found, torch.where(x == 0, torch.inf, torch.nan))


def _even(x: Tensor) -> tuple[Tensor, Tensor]:
    """fraction * 2^(2 half), the fraction from 0.5 to 2."""
    fraction, exponent = torch.frexp(x)
    odd = exponent % 2
    return torch.where(odd == 1, fraction * 2, fraction), (exponent - odd).div(2, rounding_mode="floor")


def inverse(x: Tensor) -> Tensor:
    fraction, exponent = torch.frexp(x.abs())
    found = torch.ldexp(INVERSE(fraction), -exponent)
    return torch.where(x == 0, torch.inf, found).copysign(x)
