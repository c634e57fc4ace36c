"""Sums of products as the Neural Engine adds them: convolutions, linear layers, matrix products.

Source: 751K/Apple-Neural-Engine-Microarchitecture-Study-M6 (MIT), chapter 8. An M4 and an M6: an accumulator of 32
bits in units of 2^-16, infinite from 32768 on and from then for good, no sums in 16 bits on the way. M6 only: a
product is dropped where the exponents of its factors add up to -17 or less, else rounded to 2^-16, half away from
zero; the bias is the start value, rounded likewise. How the engine adds in several passes was not tested.

`ordered_sums` does just that, product by product. `sums` gives the same bits by matrix products.
"""

from functools import lru_cache

import torch
from torch import Tensor

from anelab.export.mil.engine.half import decoded, exponents, rounded_away, to_half

UNIT = 2.0**-16
"""Of the accumulator."""
LIMIT = 32768.0
"""From here on a sum is infinite, and stays so."""
DROPPED = -17
"""Exponents of two factors, added: up to here their product is dropped whole."""
ROUNDING = 1.5 * 2.0**36
"""Added to this, a float64 is rounded to multiples of 2^-16, as long as the sum stays within 2^36 and 2^37."""
NUDGE = 1 + 2.0**-50
"""Moves a product of 16-bit floats (22 bits) away from zero by less than any distance to a tie."""
TINY = 2.0**-8
"""A product is dropped only if one of its factors is smaller, for exponents of -8 add up to -16."""
TERMS_AT_ONCE = 1 << 20
ROOM = 2.0**-10
"""For the rounding of the bound itself."""
CHUNK, FEW = 192, 8
"""Terms of a matrix product; columns that are not worth one."""


def sums(w: Tensor, x: Tensor, bias: Tensor | None) -> Tensor:
    """w [outputs, terms], x [terms, columns], bias [outputs], 16-bit floats in any dtype: the outputs
    [outputs, columns] as 16-bit floats in float32."""
    weights, start, x = decoded(w), _start(w, bias), x.half()
    if x.shape[1] < FEW:
        return ordered_sums(weights, decoded(x), start)
    prepared, tile = _Weights(weights, start), 1 << (TERMS_AT_ONCE // len(x)).bit_length() - 1
    return torch.cat([_summed(prepared, part.contiguous()) for part in torch.split(x, tile, dim=1)], dim=1)


def _start(w: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None:
        return torch.zeros(len(w), dtype=torch.float64)
    return rounded_away(decoded(bias) / UNIT) * UNIT


class _Weights:
    """[outputs, terms] in float64, and what is asked of them for every tile."""

    def __init__(self, w: Tensor, start: Tensor) -> None:
        self.values, self.start = w, start
        self.columns, self.column_exponents = (w.T / UNIT).float().contiguous(), exponents(w.T.contiguous())
        largest = w.abs().amax(0)
        self.largest, self.largest_start = largest, float(start.abs().max())
        self.least = _magnitudes((UNIT / 2 / largest.clamp(min=UNIT)).half())[:, None] - 1
        """An input below it gives products that are all rounded to zero."""
        self.tiny = ((w.abs() < TINY) & (w != 0)).nonzero(as_tuple=True)
        tiny = w[self.tiny][:, None]
        self.tiny_factors = (tiny / UNIT).float()
        self.tiny_limits = _magnitudes(torch.exp2(1.0 + DROPPED - exponents(tiny)).half())
        """Inputs below them are dropped, one limit for each tiny weight."""
        self.chunks = [_opened(part * NUDGE) for part in torch.split(w, CHUNK, dim=1)]

    def bound(self, largest_input: Tensor) -> Tensor:
        """On the magnitude of every sum on the way, where no input is larger."""
        return (largest_input * float(self.largest.sum()) + self.largest_start) * (1 + ROOM) + UNIT * len(self.largest)


def _rounded_units(products: Tensor) -> Tensor:
    """Products of 16-bit floats in units, in float32, rounded in place half away from zero."""
    return products.view(torch.int32).bitwise_or_(1).view(torch.float32).round_()  # no tie is left, as in `to_half`


def _opened(w: Tensor) -> Tensor:
    """With `ROUNDING` in front of every sum."""
    return torch.cat([w.new_full((len(w), 1), ROUNDING), w], dim=1)


def _magnitudes(x: Tensor) -> Tensor:
    """int16 in the order of the magnitudes of 16-bit floats."""
    return x.view(torch.int16) & 0x7FFF


def _magnitude(value: float) -> int:
    return int(_magnitudes(torch.tensor(value, dtype=torch.half)))


INFINITE = _magnitude(torch.inf)
TINY_MAGNITUDE = _magnitude(TINY)


def _summed(w: _Weights, x: Tensor) -> Tensor:
    sizes = _magnitudes(x)
    largest = sizes.amax(0)
    total = _rounded_products(w, x).add_(w.start[:, None])
    tiny = sizes < TINY_MAGNITUDE
    _remove_for_tiny_inputs(total, w, x, (tiny & (sizes > w.least)).nonzero(as_tuple=True))
    _remove_for_tiny_weights(total, w, x, torch.where(tiny, INFINITE, sizes))
    found = to_half(total).add_(0.0)  # a zero is +0
    risky = (largest >= INFINITE) | (w.bound(largest.view(torch.half).double()) >= LIMIT)
    if risky.any():
        found[:, risky] = ordered_sums(w.values, decoded(x[:, risky]), w.start)
    return found


def ordered_sums(w: Tensor, x: Tensor, start: Tensor) -> Tensor:
    """The rule as it is stated, in float64, which holds every number in it exactly. Terms in the order given."""
    columns = max(1, TERMS_AT_ONCE // w.numel())
    return torch.cat([_ordered(w, part, start) for part in torch.split(x, columns, dim=1)], dim=1)


def _ordered(w: Tensor, x: Tensor, start: Tensor) -> Tensor:
    left, right = w[:, None, :], x.T[None, :, :]
    kept = exponents(left) + exponents(right) > DROPPED
    products = torch.where(kept, rounded_away(left * right / UNIT) * UNIT, 0.0)
    running = start[:, None, None] + products.cumsum(-1)
    over = running.abs() >= LIMIT
    first = running.gather(-1, over.to(torch.int8).argmax(-1, keepdim=True)).squeeze(-1)
    first = torch.where(start.abs()[:, None] >= LIMIT, start[:, None], first)
    over = over.any(-1) | (start.abs()[:, None] >= LIMIT)
    return torch.where(over, (first.sign() * torch.inf).float(), to_half(running[..., -1]) + 0.0)


def _rounded_products(w: _Weights, x: Tensor) -> Tensor:
    """Sums [outputs, columns] of products that are each rounded to 2^-16, half away from zero.

    Each sum begins with `ROUNDING`, so that whatever is added to it is rounded on the way; the nudge makes ties
    none."""
    total, columns = None, 1 << (x.shape[1] - 1).bit_length()
    for chunk, given in zip(w.chunks, torch.split(x, CHUNK), strict=True):
        rows = torch.empty(1 + len(given), columns, dtype=torch.float64)
        rows[0] = 1.0
        rows[1:, : x.shape[1]] = given
        rows[1:, x.shape[1] :] = 0.0
        in_order = _adds_in_order(len(chunk), len(rows), columns)
        found = (torch.mm if in_order else _by_terms)(chunk, rows).sub_(ROUNDING)
        total = found if total is None else total.add_(found)
    assert total is not None
    return total[:, : x.shape[1]].contiguous()


def _by_terms(w: Tensor, x: Tensor) -> Tensor:
    total = w[:, :1] * x[:1]
    for term in range(1, len(x)):
        total.addcmul_(w[:, term : term + 1], x[term : term + 1])
    return total


@lru_cache(maxsize=1024)
def _adds_in_order(outputs: int, terms: int, columns: int) -> bool:
    """Whether a matrix product of these sizes gives, for numbers by chance, what adding term by term gives. The
    order in which a library adds depends on the sizes and not on the numbers."""
    chance = torch.Generator().manual_seed(0)
    w = torch.randn(outputs, terms, generator=chance).half().double() * NUDGE
    x = torch.randn(terms, columns, generator=chance).half().double()
    w[:, 0], x[0] = ROUNDING, 1.0
    return torch.equal(torch.mm(w, x), _by_terms(w, x))


def _remove_for_tiny_inputs(total: Tensor, w: _Weights, x: Tensor, places: tuple[Tensor, ...]) -> None:
    """Take the products that are dropped off the `total`, where the factor of `x` is tiny, whatever that of `w`.
    `places` are those of tiny inputs: terms, columns."""
    removed, size = None, max(1, TERMS_AT_ONCE // len(w.values))
    for terms, columns in zip(*(torch.split(place, size) for place in places), strict=True):
        if not len(terms):
            return
        given = x[terms, columns, None]
        dropped = w.column_exponents[terms] <= DROPPED - exponents(given.float())
        removed = torch.zeros(x.shape[1], len(w.values)) if removed is None else removed
        products = _rounded_units(w.columns[terms] * given.float())
        removed.index_add_(0, columns, products.masked_fill_(~dropped, 0.0))
    if removed is not None:
        total.sub_(removed.T, alpha=UNIT)


def _remove_for_tiny_weights(total: Tensor, w: _Weights, x: Tensor, others: Tensor) -> None:
    """The same where the factor of `w` is tiny and that of `x` is not. `others` are the magnitudes of inputs, infinite
    for those that are tiny."""
    output, term = w.tiny
    if not len(output):
        return
    wanted = (others.amin(1, keepdim=True)[term] < w.tiny_limits).nonzero()[:, 0]
    if not len(wanted):
        return
    removed = torch.zeros(total.shape)  # less than 2^24 units, which float32 holds
    for part in torch.split(wanted, max(1, TERMS_AT_ONCE // x.shape[1])):
        products = _rounded_units(x[term[part]].float().mul_(w.tiny_factors[part]))
        products.masked_fill_(others[term[part]] >= w.tiny_limits[part], 0.0)
        removed.index_add_(0, output[part], products)
    total.sub_(removed, alpha=UNIT)
