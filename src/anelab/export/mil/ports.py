"""Inputs and outputs of a function, and the arrays that an input takes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anelab.export.features import Declared
from anelab.export.mil.program import declared_type, static_shape
from anelab.learning.base import Array

INT_LIMIT = 2**31


@dataclass(frozen=True)
class Port:
    """An input or output of a function; an axis of None takes any size, within what is `declared`."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    declared: Declared = field(default_factory=Declared)

    def __str__(self) -> str:
        shape = "x".join("?" if size is None else str(size) for size in self.shape)
        convention = self.declared.convention
        return f"{self.name} {self.dtype} {shape}" + (f" ({convention})" if convention else "")

    def misfit(self, array: Array) -> str:
        """What is wrong with the array; empty if nothing is."""
        fits = array.ndim == len(self.shape) and all(
            want in (None, have) for have, want in zip(array.shape, self.shape, strict=True)
        )
        if not fits:
            return f"has shape {array.shape}"
        if not (array.dtype.kind in "fiub" if self.is_float else _fits_int32(array)):
            return f"has {array.dtype} values"
        return self.declared.misfit(array)

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("fp")


def port_of(variable: Any, declared: Declared | None = None) -> Port:
    return Port(variable.name, declared_type(variable), static_shape(variable), declared or Declared())


def _fits_int32(array: np.ndarray[Any, Any]) -> bool:
    whole = array.dtype.kind in "iub"
    return whole and (not array.size or bool(int(array.min()) >= -INT_LIMIT and int(array.max()) < INT_LIMIT))
