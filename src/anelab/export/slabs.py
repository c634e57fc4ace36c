"""Any number of rows through functions that take a fixed number each; whole inputs, whatever their first axes
mean, through a function that takes just them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from anelab.errors import AnelabError
from anelab.learning.base import Array, Arrays, Predictor

Shape = tuple[int | None, ...]
MOST_SLAB_BYTES = 256 << 20


@dataclass(frozen=True)
class Bucket:
    """A function and the shapes of its inputs; None takes any size. `run_many`, where there is one, makes many calls at
    once: its arrays have one axis more in front."""

    run: Callable[[Arrays], Arrays]
    shapes: dict[str, Shape]
    run_many: Callable[[Arrays], Arrays] | None = None

    @property
    def rows(self) -> int | None:
        return next(iter(self.shapes.values()))[0]

    def takes(self, arrays: Arrays) -> bool:
        """Whether names and all axes but the first, the rows, agree."""
        return set(self.shapes) == set(arrays) and all(
            len(shape) == arrays[name].ndim and _fits(shape[1:], arrays[name].shape[1:])
            for name, shape in self.shapes.items()
        )

    def takes_whole(self, arrays: Arrays) -> bool:
        """Whether all axes agree, so that one call takes everything."""
        return self.takes(arrays) and all(_fits(shape, arrays[name].shape) for name, shape in self.shapes.items())


def check_slab_size(shapes: Iterable[Shape], item_bytes: int, what: str) -> None:
    """Raises AnelabError for a model that takes more at once than is filled up for a single row."""
    size = item_bytes * sum(prod(one or 1 for one in shape) for shape in shapes)
    if size > MOST_SLAB_BYTES:
        raise AnelabError(f"{what}: takes {size:,} bytes in each call; at most {MOST_SLAB_BYTES:,} are filled up")


def _fits(shape: Shape, given: Sequence[int]) -> bool:
    return all(want in (None, have) for want, have in zip(shape, given, strict=True))


def in_slabs(buckets: Sequence[Bucket], what: str) -> Predictor:
    """A predictor by the functions that take the arrays.

    A function that takes all of them at once is called once, and its outputs are given as they are. Else the first
    axis of every array is the rows, and so it is of every output: the largest function that they fill is called
    as often as it takes, the last slab filled up with copies of its last row, which are cut off again.
    `what` names the model in the AnelabError for arrays that no function takes.
    """

    def predict(arrays: Arrays) -> Arrays:
        whole = next((bucket for bucket in buckets if bucket.takes_whole(arrays)), None)
        if whole is not None and all(array.size for array in arrays.values()):
            return whole.run(arrays)
        fitting = [bucket for bucket in buckets if bucket.takes(arrays)]
        counts = {len(array) for array in arrays.values() if array.ndim}
        if not fitting or len(counts) != 1 or not min(counts):
            given = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            taken = "; ".join(_described(bucket) for bucket in buckets)
            raise AnelabError(
                f"{what}: no function takes {given or 'nothing'}; it has {taken}, one row at least, and as many rows "
                "of every input"
            )
        return _run(fitting, arrays, counts.pop())

    return predict


def _rows_of(array: Array, name: str, rows: int, taken: int) -> Array:
    """Without what filled the slab up. Raises AnelabError if the output is not by rows."""
    if array.ndim == 0 or len(array) != rows:
        raise AnelabError(
            f"output {name} has shape {array.shape} for {rows} rows; its first axis must be the rows, or the input "
            "must have just the shape that the function takes"
        )
    return array[:taken]


def _described(bucket: Bucket) -> str:
    shapes = {name: "x".join(str(size or "any") for size in shape) for name, shape in bucket.shapes.items()}
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def _run(buckets: Sequence[Bucket], arrays: Arrays, rows: int) -> Arrays:
    parts: list[Arrays] = []
    done = 0
    while done < rows:
        bucket = _fitting(buckets, rows - done)
        size = bucket.rows or rows - done
        calls = (rows - done) // size if bucket.run_many else 1
        part = {name: array[done : done + max(calls, 1) * size] for name, array in arrays.items()}
        if bucket.run_many and calls > 1:
            parts.append(_in_many_calls(bucket.run_many, part, size))
        else:
            parts.append(_in_one_call(bucket, part, size))
        done += max(calls, 1) * size
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _in_one_call(bucket: Bucket, part: Arrays, size: int) -> Arrays:
    taken = len(next(iter(part.values())))
    found = bucket.run({name: _filled(array, size) for name, array in part.items()})
    return {name: _rows_of(array, name, size, taken) for name, array in found.items()}


def _in_many_calls(run_many: Callable[[Arrays], Arrays], part: Arrays, size: int) -> Arrays:
    found = run_many({name: array.reshape(-1, size, *array.shape[1:]) for name, array in part.items()})
    for name, array in found.items():
        _rows_of(array[0], name, size, size)
    return {name: array.reshape(-1, *array.shape[2:]) for name, array in found.items()}


def _fitting(buckets: Sequence[Bucket], rows: int) -> Bucket:
    """The largest that `rows` fill, else the smallest that holds them."""
    full = [bucket for bucket in buckets if bucket.rows is None or bucket.rows <= rows]
    if full:
        return max(full, key=lambda bucket: bucket.rows or rows)
    return min(buckets, key=lambda bucket: bucket.rows or 0)


def _filled(array: Array, rows: int) -> Array:
    missing = rows - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array
