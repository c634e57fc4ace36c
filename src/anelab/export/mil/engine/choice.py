"""How one operator of a program runs in mode ane."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anelab.export.mil.engine.integers import integer_product
from anelab.export.mil.engine.operators import APPROXIMATE, EXACT, KEPT
from anelab.export.mil.program import declared_type


@dataclass(frozen=True)
class Computation:
    """`exact`: outputs are what the engine gives, with nothing left to round."""

    run: Callable[..., Any]
    exact: bool


def on_engine(operation: Any, run: Callable[..., Any]) -> Computation:
    """`run` is how the operator is computed elsewhere. It stays where nothing else is known, and where an output is not
    declared 16 bits, which the engine does not take."""
    if any(declared_type(output) != "fp16" for output in operation.outputs):
        return Computation(run, exact=False)
    kind = operation.op_type
    if known := integer_product(operation, run) or EXACT.get(kind):
        return Computation(known, exact=True)
    return Computation(APPROXIMATE.get(kind, run), exact=kind in KEPT)
