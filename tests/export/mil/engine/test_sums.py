"""Sums of products and single operations, bit by bit, against what the engine returned and against the rule."""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from anelab.export.mil.engine import products, sums
from anelab.export.mil.engine.half import decoded, to_half

CASES = Path(os.environ.get("ANELAB_TEST_DATA", "")) / "neural_engine" / "numerics_cases.json"
LISTED = [
    ("mac", ["0x7600"], ["0x3C00"], None, "0x7600"),
    ("mac", ["0x7C01"], ["0x0C00"], None, "0x4E01"),
    ("add", ["0x6800"], ["0x3C00"], None, "0x6801"),
    ("add", ["0xE800"], ["0xBC00"], None, "0xE801"),
]
"""Of the source: path, x, w, bias, result."""


def halves(patterns: list[str]) -> Tensor:
    return torch.tensor([int(one, 16) for one in patterns], dtype=torch.int32).to(torch.int16).view(torch.half)


def pattern(value: Tensor) -> str:
    return f"0x{int(value.half().view(torch.int16)) & 0xFFFF:04X}"


def check(path: str, x: list[str], w: list[str], bias: str | None, out: str) -> None:
    left, right = halves(x), halves(w)
    if path != "mac":
        assert pattern(products.elementwise(path, left, right)[0]) == out, (path, x, w)
        return
    start = None if bias is None else halves([bias])
    for columns in (1, 20):  # one is added term by term
        found = sums.sums(right[None], left[:, None].expand(-1, columns), start)
        assert [pattern(one) for one in found[0]] == [out] * columns, (x, w, bias)


@pytest.mark.parametrize("case", LISTED)
def test_what_the_engine_returned(case: tuple[str, list[str], list[str], str | None, str]) -> None:
    check(*case)


@pytest.mark.skipif(not CASES.is_file(), reason="needs ANELAB_TEST_DATA with neural_engine/numerics_cases.json")
def test_every_published_vector() -> None:
    vectors = json.loads(CASES.read_text())["vectors"]
    assert len(vectors) > 80
    for one in vectors:
        check(one["path"], one["x"], one["w"], one.get("bias"), one["out"].replace("0X", "0x"))


@pytest.mark.parametrize(
    ("x", "w", "bias", "out"),
    [
        ([32752.0, 8.0], [1.0, 1.0], 0.0, 32768.0),  # still finite, and rounds up
        ([32752.0, 16.0], [1.0, 1.0], 0.0, torch.inf),
        ([32752.0, 16.0, -32752.0], [1.0, 1.0, 1.0], 0.0, torch.inf),  # stays, though the whole sum is 16
        ([-32752.0, -16.0, 32752.0], [1.0, 1.0, 1.0], 0.0, -torch.inf),
        ([1.0], [1.0], 40000.0, torch.inf),  # the bias is the start value
        ([2.0**-9], [2.0**-8], 0.0, 0.0),  # exponents add up to -17: dropped
        ([2.0**-9 * 1.75], [2.0**-8 * 1.75], 0.0, 0.0),  # though it is nearly 2 units
        ([2.0**-8], [2.0**-8], 0.0, 2.0**-16),
        ([2.0**-8 * 1.5], [2.0**-8], 0.0, 2.0**-15),  # one and a half units: away from zero
        ([-(2.0**-8) * 1.5], [2.0**-8], 0.0, -(2.0**-15)),
        ([torch.inf], [0.25], 0.0, 16384.0),  # a number: 65536
        ([torch.nan], [0.25], 0.0, 24576.0),  # 98304
        ([-1.0, 1.0], [1.0, 1.0], 0.0, 0.0),
    ],
)
def test_the_rule(x: list[float], w: list[float], bias: float, out: float) -> None:
    given, weights, start = torch.tensor(x), torch.tensor([w]), torch.tensor([bias])
    for columns in (1, 40):
        found = sums.sums(weights, given[:, None].expand(-1, columns), start)
        assert found.tolist() == [[out] * columns]
        assert not found.signbit().any() or out < 0


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize(
    ("outputs", "terms", "columns", "scale"),
    [(1, 1, 9, 1.0), (3, 5, 64, 1e-3), (16, 300, 333, 0.05), (16, 50, 100, 1500.0), (7, 129, 8, 0.02)],
)
def test_matrix_products_give_the_bits_of_the_rule(
    outputs: int, terms: int, columns: int, scale: float, in_order: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`in_order`: whether this host's matrix products may be used at all."""
    if not in_order:
        monkeypatch.setattr(sums, "_adds_in_order", lambda *_: False)
    chance = torch.Generator().manual_seed(terms)
    w = (torch.randn(outputs, terms, generator=chance) * scale).half()
    powers = torch.randint(-14, 3, (terms, columns), generator=chance)
    x = (torch.randn(terms, columns, generator=chance) * torch.exp2(powers.float())).half()
    x[0, 0], x[-1, 1] = torch.inf, torch.nan
    large = scale > 1
    bias = torch.randn(outputs, generator=chance).half()
    found = sums.sums(w, x, bias)
    wanted = sums.ordered_sums(decoded(w), decoded(x), sums._start(w, bias))
    assert torch.equal(found, wanted)
    assert bool(found[:, 2:].isinf().any()) == large
    dropped = sums._rounded_products(sums._Weights(decoded(w), sums._start(w, None)), x.nan_to_num(0, 0, 0))
    if terms > 1:
        assert not torch.equal(to_half(dropped + sums._start(w, bias)[:, None])[:, 2:], found[:, 2:])


def test_single_operations_are_exact_and_round_ties_away() -> None:
    """Against fractions, over pairs of all 16-bit floats."""
    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.half)
    finite = every[every.isfinite()].float()
    chance = torch.Generator().manual_seed(0)
    for kind, operation in {"add": Fraction.__add__, "sub": Fraction.__sub__, "mul": Fraction.__mul__}.items():
        x, y = (finite[torch.randint(len(finite), (4000,), generator=chance)] for _ in range(2))
        y[:1000] = x[:1000] * torch.exp2(torch.randint(-13, 14, (1000,), generator=chance).float())
        y = y.half().float().nan_to_num(0, 0, 0)
        for a, b, found in zip(x.tolist(), y.tolist(), products.elementwise(kind, x, y).tolist(), strict=True):
            assert found == nearest(operation(Fraction(a), Fraction(b))), (kind, a, b)


def nearest(value: Fraction) -> float:
    size = abs(value)
    exponent = -14
    while size >= Fraction(2) ** (exponent + 1):
        exponent += 1
    step = Fraction(2) ** (exponent - 10)
    rounded = (size / step + Fraction(1, 2)).__floor__() * step
    return (-1 if value < 0 else 1) * (float("inf") if rounded > 65504 else float(rounded))


def test_what_is_not_finite_is_a_number_to_single_operations() -> None:
    x = torch.tensor([torch.inf, torch.nan, -torch.inf, torch.inf])
    assert products.elementwise("add", x, torch.tensor(1.0)).tolist() == [torch.inf, torch.inf, -torch.inf, torch.inf]
    assert products.elementwise("mul", x, torch.tensor(0.25)).tolist() == [16384, 24576, -16384, 16384]
    assert products.elementwise("sub", x, x).tolist() == [0, 0, 0, 0]


def test_rounding_of_numbers_that_float32_does_not_hold() -> None:
    """A float64 just below a tie must not become one on the way."""
    tie = 1 + 2.0**-11
    values = torch.tensor([tie, tie - 2.0**-40, tie + 2.0**-40, -tie, 65519.999999, 65520.0], dtype=torch.float64)
    assert to_half(values).tolist() == [1 + 2.0**-10, 1, 1 + 2.0**-10, -1 - 2.0**-10, 65504, torch.inf]
