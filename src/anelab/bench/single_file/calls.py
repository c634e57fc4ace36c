"""The calls that a model file is timed on: arrays of a file, or random ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anelab.errors import UsageError
from anelab.learning.base import Array, Arrays
from anelab.texts import printable

CALLS = 64
"""Random calls that are timed in turn: different ones, or caches would be measured."""
MOST_CALLS = 256
MOST_BYTES = 1 << 30
"""Of all calls."""
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Port:
    """An input: NumPy's name of its type, and its shape, None where a size is free."""

    name: str
    dtype: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {'x'.join('?' if size is None else str(size) for size in self.shape)}"


@dataclass(frozen=True)
class Options:
    """What --shape and --range say, by input."""

    shapes: Mapping[str, tuple[int, ...]]
    ranges: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Calls:
    """`arrays` have one axis more in front than the model's inputs: the calls. `origin` says where they are from."""

    arrays: Arrays
    origin: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape[1:] for name, array in self.arrays.items()}


def parse_options(shapes: Sequence[str], ranges: Sequence[str]) -> Options:
    """Of NAME=1,128 and NAME=LOW:HIGH. Raises UsageError."""
    return Options(dict(map(_shape_of, shapes)), dict(map(_range_of, ranges)))


def _shape_of(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.rpartition("=")
    try:
        found = tuple(int(size) for size in sizes.split(",")) if sizes else ()
    except ValueError:
        found = (0,)
    if not name or any(size < 1 for size in found):
        raise UsageError(f"--shape must be NAME=1,128, sizes from 1 on, but got {printable(text, 100)}")
    return name, found


def _range_of(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.rpartition("=")
    low, _, high = ends.partition(":")
    try:
        found = float(low), float(high)
    except ValueError:
        found = np.nan, np.nan
    if not name or not (np.isfinite(found).all() and found[0] <= found[1]):
        raise UsageError(f"--range must be NAME=LOW:HIGH, two numbers, but got {printable(text, 100)}")
    return name, found


def random_calls(ports: Sequence[Port], options: Options) -> Calls:
    """Of a standard normal distribution, or even over a range; integers without a range are 0 and 1. Free sizes are 1
    unless a shape is given. Raises UsageError for options of no input, or shapes that do not fit."""
    _check_names(ports, options)
    rng = np.random.default_rng(0)
    shapes = {port.name: _shape(port, options.shapes.get(port.name)) for port in ports}
    _check_size(ports, shapes)
    arrays = {
        port.name: _random(rng, port, (CALLS, *shapes[port.name]), options.ranges.get(port.name)) for port in ports
    }
    return Calls(arrays, f"random: {'; '.join(_described(port, shapes, options) for port in ports)}")


def _check_names(ports: Sequence[Port], options: Options) -> None:
    for option, names in (("--shape", options.shapes), ("--range", options.ranges)):
        if unknown := sorted(set(names) - {port.name for port in ports}):
            there = "; ".join(map(str, ports))
            raise UsageError(f"{option} {unknown[0]}=...: the model has no such input; it has {there}")


def _shape(port: Port, given: tuple[int, ...] | None) -> tuple[int, ...]:
    if given is None:
        return tuple(1 if size is None else size for size in port.shape)
    if len(given) != len(port.shape) or any(w not in (None, h) for w, h in zip(port.shape, given, strict=True)):
        raise UsageError(f"--shape {port.name}={','.join(map(str, given))}: does not fit the input {port}")
    return given


def _check_size(ports: Sequence[Port], shapes: Mapping[str, tuple[int, ...]]) -> None:
    size = CALLS * sum(int(np.prod(shapes[port.name])) * 8 for port in ports)
    if size > MOST_BYTES:
        raise UsageError(f"{CALLS} calls of these shapes are {size >> 20:,} MiB, at most {MOST_BYTES >> 20:,} are made")


def _random(rng: np.random.Generator, port: Port, shape: tuple[int, ...], ends: tuple[float, float] | None) -> Array:
    kind = np.dtype(port.dtype)
    if kind.kind in "iub":
        low, high = ends or (0, 1)
        return rng.integers(int(np.ceil(low)), int(np.floor(high)), shape, endpoint=True).astype(kind)
    found = rng.standard_normal(shape) if ends is None else rng.uniform(*ends, shape)
    return found.astype(kind)


def _described(port: Port, shapes: Mapping[str, tuple[int, ...]], options: Options) -> str:
    sizes = "x".join(map(str, shapes[port.name])) or "a number"
    if port.name in options.ranges:
        values = "from {:g} to {:g}".format(*options.ranges[port.name])
    else:
        values = "0 and 1" if np.dtype(port.dtype).kind in "iub" else "normal"
    free = ", free sizes are 1" if None in port.shape and port.name not in options.shapes else ""
    return f"{port.name} {port.dtype} {sizes} ({values}{free})"


def calls_of(ports: Sequence[Port], arrays: Arrays, options: Options, where: str) -> Calls:
    """Of a file's arrays. With as many axes as the input has, the first are rows, which are cut into calls; with one
    more, it is the calls. Raises UsageError if they do not fit."""
    _check_names(ports, options)
    found = {port.name: _cut(port, arrays[port.name], options.shapes.get(port.name), where) for port in ports}
    counts = {name: len(array) for name, array in found.items()}
    if len(set(counts.values())) != 1:
        each = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UsageError(f"{where}: the inputs make different numbers of calls ({each})")
    chosen = {name: np.ascontiguousarray(array[:MOST_CALLS]) for name, array in found.items()}
    return Calls(chosen, f"{len(next(iter(chosen.values())))} calls of {where}")


def _cut(port: Port, array: Array, given: tuple[int, ...] | None, where: str) -> Array:
    """[calls, *the input's shape]"""
    rank = len(port.shape)
    if array.ndim == rank and rank:
        size = given[0] if given else port.shape[0] or 1
        whole = len(array) // size * size
        array = array[:whole].reshape(-1, size, *array.shape[1:])
    fits = array.ndim == rank + 1 and len(array)
    if not fits or any(want not in (None, have) for want, have in zip(port.shape, array.shape[1:], strict=True)):
        raise UsageError(f"{where}: {port.name} has shape {array.shape}, but the input is {port}, with rows or calls")
    try:
        return array.astype(port.dtype, casting="same_kind")
    except TypeError:
        raise UsageError(f"{where}: {port.name} has {array.dtype} values, but the input is {port}") from None
