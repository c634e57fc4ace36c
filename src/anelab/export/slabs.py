"""Any number of rows through functions that take a fixed number each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from anelab.errors import AnelabError
from anelab.learning.base import Array, Arrays, Predictor

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Bucket:
    """A function and the shapes of its inputs; their first axis is the rows, None takes any size."""

    run: Callable[[Arrays], Arrays]
    shapes: dict[str, Shape]

    @property
    def rows(self) -> int | None:
        return next(iter(self.shapes.values()))[0]

    def takes(self, arrays: Arrays) -> bool:
        """Whether names and all axes but the rows agree."""
        return set(self.shapes) == set(arrays) and all(
            len(shape) == arrays[name].ndim
            and all(want in (None, have) for want, have in zip(shape[1:], arrays[name].shape[1:], strict=True))
            for name, shape in self.shapes.items()
        )


def in_slabs(buckets: Sequence[Bucket], what: str) -> Predictor:
    """A predictor that fills the largest function it can; the last slab is filled up with copies of its last
    row, which are cut off again. `what` names the model in the AnelabError for arrays that no function takes."""

    def predict(arrays: Arrays) -> Arrays:
        fitting = [bucket for bucket in buckets if bucket.takes(arrays)]
        rows = max((len(array) for array in arrays.values() if array.ndim), default=0)
        if not fitting or not rows:
            given = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            taken = "; ".join(_shown(bucket) for bucket in buckets)
            raise AnelabError(f"{what}: no function takes {given or 'nothing'}; it has {taken}, one row at least")
        return _run(fitting, arrays, rows)

    return predict


def _rows_of(array: Array, name: str, rows: int, taken: int) -> Array:
    """Without what filled the slab up. Raises AnelabError if the output is not by rows."""
    if array.ndim == 0 or len(array) != rows:
        raise AnelabError(f"output {name} has shape {array.shape} for {rows} rows; its first axis must be the rows")
    return array[:taken]


def _shown(bucket: Bucket) -> str:
    shapes = {name: "x".join(str(size or "any") for size in shape) for name, shape in bucket.shapes.items()}
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def _run(buckets: Sequence[Bucket], arrays: Arrays, rows: int) -> Arrays:
    parts: list[Arrays] = []
    done = 0
    while done < rows:
        bucket = _fitting(buckets, rows - done)
        size = bucket.rows or rows - done
        taken = min(size, rows - done)
        slab = {name: _filled(array[done : done + taken], size) for name, array in arrays.items()}
        parts.append({name: _rows_of(array, name, size, taken) for name, array in bucket.run(slab).items()})
        done += taken
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _fitting(buckets: Sequence[Bucket], rows: int) -> Bucket:
    """The largest that `rows` fill, else the smallest that holds them."""
    full = [bucket for bucket in buckets if bucket.rows is None or bucket.rows <= rows]
    if full:
        return max(full, key=lambda bucket: bucket.rows or rows)
    return min(buckets, key=lambda bucket: bucket.rows or 0)


def _filled(array: Array, rows: int) -> Array:
    missing = rows - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array
