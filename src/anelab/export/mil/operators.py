"""The table of operators, and how a program's arguments become those of a Python function.

An operator is a function whose parameters are named as MIL names its inputs; their annotations say what
it wants: `Tensor` (floats arrive as float32 whatever their declared type), `Ints`, or a Python scalar.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

import numpy as np
import torch
from torch import Tensor

Ints = tuple[int, ...]
Value = Any
"""A tensor, a Python scalar or string, or a list of tensors (MIL's dynamic list)."""


@dataclass(frozen=True)
class Operator:
    """`run` takes keyword arguments; `converters` say what each is made of. `blocks` is given to those
    that have a parameter of that name."""

    run: Callable[..., Any]
    converters: Mapping[str, Callable[[Value], Any]]
    takes_blocks: bool


class State:
    """A tensor that operators read and replace."""

    def __init__(self, value: Tensor) -> None:
        self.value = value


ENTERED: dict[str, Operator] = {}


F = TypeVar("F", bound=Callable[..., Any])


def operator(*names: str) -> Callable[[F], F]:
    """Enter a function as the operator of these names, or of its own name."""

    def enter(function: F) -> F:
        hints = get_type_hints(function)
        parameters = inspect.signature(function).parameters
        converters = {name: _converter(hints[name]) for name in parameters if name != "blocks"}
        for name in names or (function.__name__,):
            ENTERED[name] = Operator(function, converters, "blocks" in parameters)
        return function

    return enter


def _converter(hint: Any) -> Callable[[Value], Any]:
    bare = next((part for part in (Ints, Tensor, State, int, float, bool, str) if hint in (part, part | None)), None)
    return _CONVERTERS.get(bare, _tensors)


def as_tensor(value: Value) -> Tensor:
    """Floats as float32, unsigned 16 and 32 bits as int32 (torch has no arithmetic for them)."""
    if value is None or isinstance(value, Tensor):  # a list has places that nothing was written to
        return value  # type: ignore[return-value]
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))
    if array.dtype in (np.uint16, np.uint32, np.int64):
        array = array.astype(np.int32)
    if array.dtype.itemsize == 1 and array.dtype.kind not in "biu":  # coremltools' own 4-bit types
        array = array.astype(np.int8)
    return torch.from_numpy(np.ascontiguousarray(array))


def _tensors(value: Value) -> Any:
    """A list's members; words stay words."""
    if not isinstance(value, list | tuple):
        return as_tensor(value)
    return [str(item) if isinstance(item, str) else as_tensor(item) for item in value]


def _ints(value: Value) -> Ints:
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    return tuple(int(item) for item in array.ravel())


def _text(value: Value) -> str:
    return str(value)


_CONVERTERS: dict[Any, Callable[[Value], Any]] = {
    Ints: _ints,
    Tensor: as_tensor,
    State: lambda value: value,
    int: int,
    float: float,
    bool: bool,
    str: _text,
}
