"""Tensors as requests have them: numbers of JSON, or bytes, little-endian, row by row."""

import math
import sys
from collections.abc import Sequence
from struct import pack
from typing import Any

import msgspec
import numpy as np

from anelab.learning.base import Array, Arrays
from anelab.serving.errors import BAD_REQUEST, RequestError
from anelab.texts import printable

DATATYPES = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}
DATATYPES |= {f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
"""NumPy's names of the protocol's datatypes; BYTES, which are no numbers, are not served."""
FLOATS = {"float16": "e", "float32": "f", "float64": "d"}
"""As `struct` calls them."""
NAMES = {dtype: name for name, dtype in DATATYPES.items()}
_NAMES_OF = {np.dtype(dtype): name for dtype, name in NAMES.items()}
MOST_AXES = 32
MOST_SIZE = 1 << 31
MOST_QUOTED = 80
"""Characters of a request that a message repeats."""


class InputTensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class FloatTensor(InputTensor):
    """Of numbers in one list, which is decoded at twice the speed."""

    data: list[float] | None = None


def read_tensors(inputs: Sequence[InputTensor], body: bytes | bytearray, end: int) -> Arrays:
    """The tensors of a request; those that are binary lie one behind the other after the first `end` bytes."""
    arrays: dict[str, Array] = {}
    for item in inputs:
        name = printable(item.name, MOST_QUOTED)
        if item.name in arrays:
            raise refusal(f"input {name} is given twice")
        dtype = DATATYPES.get(item.datatype)
        if dtype is None:
            raise refusal(
                f"input {name}: datatype {printable(item.datatype, MOST_QUOTED)} is none of {', '.join(DATATYPES)}"
            )
        if len(item.shape) > MOST_AXES or any(not 0 <= size < MOST_SIZE for size in item.shape):
            raise refusal(f"input {name}: a shape has at most {MOST_AXES} sizes of 0 and more")
        size = item.parameters.get("binary_data_size")
        if size is None:
            values = _from_floats(item.data, dtype) if type(item) is FloatTensor else None
            values = _from_list(item.data, dtype, name) if values is None else values
        else:
            values, end = _binary(item, size, dtype, body, end)
        if values.size != math.prod(item.shape):
            raise refusal(
                f"input {name}: shape {item.shape} is {math.prod(item.shape)} values, but there are {values.size}"
            )
        arrays[item.name] = _shaped(values, item.shape, name)
    if end != len(body):
        raise refusal(
            f"{len(body) - end} bytes of the body belong to no input; each binary one needs `binary_data_size`"
        )
    return arrays


def _binary(item: InputTensor, size: object, dtype: str, body: bytes | bytearray, start: int) -> tuple[Array, int]:
    name = printable(item.name, MOST_QUOTED)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise refusal(f"input {name}: binary_data_size must be a number of bytes but is {printable(size, MOST_QUOTED)}")
    if item.data is not None:
        raise refusal(f"input {name}: has both `data` and `binary_data_size`; give one")
    if start + size > len(body):
        raise refusal(f"input {name}: binary_data_size is {size}, but {len(body) - start} bytes are left of the body")
    if size % np.dtype(dtype).itemsize:
        raise refusal(f"input {name}: {size} bytes are no whole number of {item.datatype}")
    values = from_bytes(memoryview(body)[start : start + size], np.dtype(dtype))
    check_finite(name, values)
    return values, start + size


def from_bytes(data: bytes | bytearray | memoryview, dtype: np.dtype[Any]) -> Array:
    values: Array = np.frombuffer(data, dtype if sys.byteorder == "little" else dtype.newbyteorder("<"))
    return values if sys.byteorder == "little" else values.astype(dtype)


def _from_floats(data: list[float] | None, dtype: str) -> Array | None:
    """None for what must be looked at more closely."""
    if not data or dtype not in FLOATS:
        return None
    try:
        values = np.frombuffer(pack(f"{len(data)}{FLOATS[dtype]}", *data), dtype)
    except OverflowError:
        return None
    return values if np.isfinite(values).all() else None


def _are_numbers(data: list[Any]) -> bool:
    """Also in lists of lists. NumPy would make each value as long as the longest text."""
    waiting = [(data, 0)]
    while waiting:
        part, depth = waiting.pop()
        for value in part:
            if type(value) is list and depth < MOST_AXES:
                waiting.append((value, depth + 1))
            elif type(value) not in (int, float, bool):
                return False
    return True


def _from_list(data: list[Any] | None, dtype: str, name: str) -> Array:
    """Numbers as JSON has them, nested or not, which must be of that dtype: no fractions for whole numbers, nothing
    beyond its range."""
    if data is None:
        raise refusal(f"input {name}: has neither `data` nor `binary_data_size`")
    if not _are_numbers(data):
        raise refusal(f"input {name}: its values must be of {NAMES[dtype]}, without a fraction where that has none")
    try:
        values = np.asarray(data) if data else np.empty(0, dtype)
    except (ValueError, OverflowError):  # lists of different lengths, or too deep
        raise refusal(f"input {name}: its lists differ in length or nest too deep") from None
    wanted = np.dtype(dtype)
    kinds = {"b": "b", "f": "iuf"}.get(wanted.kind, "iu")
    if values.size and values.dtype.kind not in kinds:
        raise refusal(f"input {name}: its values must be of {NAMES[dtype]}, without a fraction where that has none")
    if wanted.kind in "iu" and values.size:
        bounds = np.iinfo(wanted)
        if int(values.min()) < bounds.min or int(values.max()) > bounds.max:
            raise refusal(f"input {name}: a value is outside {bounds.min} to {bounds.max}, the range of {NAMES[dtype]}")
    with np.errstate(over="ignore"):
        values = values.astype(wanted)
    check_finite(name, values)
    return values


def check_finite(name: str, array: Array) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise refusal(f"input {name}: a value is NaN or infinite, or beyond the range of {datatype(array)}")


def datatype(array: Array) -> str:
    """The protocol's name of its dtype."""
    return _NAMES_OF[array.dtype]


def _shaped(values: Array, shape: Sequence[int], name: str) -> Array:
    try:
        return values.reshape(shape)
    except ValueError:
        raise refusal(f"input {name}: shape {printable(list(shape), MOST_QUOTED)} is too large") from None


def array_of(name: str, data: bytes, kind: str, shape: Sequence[int]) -> Array:
    """Of the bytes of a tensor of that datatype. Raises RequestError."""
    dtype = np.dtype(DATATYPES[kind])
    quoted = printable(name, MOST_QUOTED)
    if (
        len(shape) > MOST_AXES
        or any(not 0 <= size < MOST_SIZE for size in shape)
        or math.prod(shape) * dtype.itemsize != len(data)
    ):
        raise refusal(f"input {quoted}: {len(data)} bytes are no {kind} of shape {printable(list(shape), MOST_QUOTED)}")
    values = _shaped(from_bytes(data, dtype), shape, quoted)
    check_finite(quoted, values)
    return values


def array_bytes(array: Array) -> bytes:
    """Row by row, little-endian."""
    return (array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("<"))).tobytes()


def refusal(text: str) -> RequestError:
    """Of a request that is wrong, with a sentence that says how."""
    return RequestError(BAD_REQUEST, text)
