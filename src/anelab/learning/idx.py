"""IDX, the format of MNIST: two zero bytes, a type, a rank, big-endian sizes, then the values."""

import gzip
from collections.abc import Iterator
from itertools import chain
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError

UINT8, MOST_VALUES = 8, 200 << 20


def read_idx(path: Path, parts: Iterator[bytes], rank: int) -> NDArray[np.uint8]:
    """Unsigned bytes of the given rank, at most MOST_VALUES. `parts` are the bytes of `path`, unpacked; the first holds
    the head. Raises AnelabError."""
    start = 4 + 4 * rank
    head = next(parts, b"")
    if head[:4] != bytes([0, 0, UINT8, rank]) or len(head) < start:
        raise AnelabError(f"{path}: not an IDX file of unsigned bytes with {rank} dimensions")
    shape = tuple(np.frombuffer(head, ">u4", rank, 4).tolist())
    if prod(shape) > MOST_VALUES:
        raise AnelabError(f"{path}: states the shape {shape}, but at most {MOST_VALUES:,} values are taken")
    values, count = np.empty(prod(shape), np.uint8), 0
    for part in chain([head[start:]], parts):
        if (count := count + len(part)) > len(values):
            break
        values[count - len(part) : count] = np.frombuffer(part, np.uint8)
    if count != len(values):
        raise AnelabError(f"{path}: has {count} values, not the shape {shape} it states; it is cut or damaged")
    return values.reshape(shape)


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    head = bytes([0, 0, UINT8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + values.tobytes(), mtime=0))
