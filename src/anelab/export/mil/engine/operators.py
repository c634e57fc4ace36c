"""Operators as the Neural Engine computes them, by MIL's names. What is not here is computed as in 16 bits.

`EXACT` follow published rules bit for bit; `APPROXIMATE` are read from published tables, whose rounding between two
values is not known.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from anelab.export.mil.engine import products, tables
from anelab.export.mil.linear import padded, padding
from anelab.export.mil.operators import Ints


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    found: Tensor = products.linear(x, weight, bias)
    return found


def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    left = x[None] if x.dim() == 1 else x.transpose(-1, -2) if transpose_x else x
    right = y[:, None] if y.dim() == 1 else y.transpose(-1, -2) if transpose_y else y
    found: Tensor = products.matmul(left, right)
    found = found.squeeze(-2) if x.dim() == 1 else found
    return found.squeeze(-1) if y.dim() == 1 else found


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Ints = (),
    pad_type: str = "valid",
    pad: Ints = (),
    dilations: Ints = (),
    groups: int = 1,
) -> Tensor:
    rank = weight.dim() - 2
    steps, gaps = strides or (1,) * rank, dilations or (1,) * rank
    x = padded(x, padding(pad_type, pad, tuple(x.shape[2:]), tuple(weight.shape[2:]), steps, gaps))
    found: Tensor = products.conv(x, weight, bias, steps, gaps, groups)
    return found


def _elementwise(kind: str) -> Callable[..., Tensor]:
    def run(x: Tensor, y: Tensor) -> Tensor:
        found: Tensor = products.elementwise(kind, x, y)
        return found

    return run


EXACT: Mapping[str, Callable[..., Any]] = {
    "conv": conv,
    "linear": linear,
    "matmul": matmul,
    **{kind: _elementwise(kind) for kind in products.OPERATIONS},
}


def _from_table(function: tables.Function) -> Callable[..., Tensor]:
    def run(x: Tensor, epsilon: float = 0.0) -> Tensor:
        return function(x.double() + epsilon).float()

    return run


APPROXIMATE: Mapping[str, Callable[..., Any]] = {
    name: _from_table(getattr(tables, name))
    for name in ("erf", "exp", "inverse", "log", "rsqrt", "sigmoid", "sin", "sqrt", "tanh")
}
NOT_PUBLISHED = frozenset({"gelu", "silu"})
"""Read from tables whose values are fitted and not published: computed exactly here, where the engine is up to 0.0062
(gelu) and 0.015 (silu) off."""
KEPT = frozenset(
    {"abs", "concat", "expand_dims", "gather", "gather_along_axis", "gather_nd", "identity", "max_pool", "maximum"}
    | {"minimum", "pad", "reduce_max", "reduce_min", "relu", "reshape", "select", "split", "squeeze", "stack", "tile"}
    | {"transpose"}
)
"""Their outputs are values of their inputs, or zero: nothing is rounded. Slices are not here: see `modes.ane_range`."""
