"""Loops and branches. A block is called with its arguments and gives its results."""

from collections.abc import Callable, Sequence

from torch import Tensor

from anelab.export.mil.operators import Value, operator

Block = Callable[[Sequence[Value]], list[Value]]


@operator()
def while_loop(blocks: Sequence[Block], loop_vars: list[Tensor]) -> tuple[Value, ...]:
    condition, body = blocks
    values: list[Value] = list(loop_vars)
    while bool(condition(values)[0]):
        values = body(values)
    return tuple(values)


@operator()
def cond(blocks: Sequence[Block], pred: Tensor) -> tuple[Value, ...]:
    """The first block where `pred` is true, else the second."""
    return tuple(blocks[0 if bool(pred) else 1]([]))
