"""States: what a program keeps from one call to the next."""

from typing import Any

import torch
from torch import Tensor

from anelab.export.mil.operators import State, operator
from anelab.export.mil.program import static_shape


def states_of(program: Any) -> dict[str, State]:
    """By name: the program's inputs that are states, all zero, as Core ML makes them."""
    from coremltools.converters.mil.mil import types

    found = {}
    for variable in program.inputs.values():
        if types.is_state(variable.sym_type):
            shape = tuple(size or 1 for size in static_shape(variable))
            found[variable.name] = State(torch.zeros(shape))
    return found


@operator()
def read_state(input: State) -> Tensor:
    """A copy, which later updates leave as it is."""
    return input.value.clone()


@operator()
def coreml_update_state(state: State, value: Tensor) -> Tensor:
    state.value = value.clone()
    return value
