"""IDX, the format of MNIST: two zero bytes, a type, a rank, big-endian sizes, then the values."""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError

UINT8 = 8


def read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """Unsigned bytes of the given rank, plain or gzip by content. Raises AnelabError."""
    data = _content(path)
    if len(data) < 4 or data[:3] != bytes([0, 0, UINT8]) or data[3] != rank or len(data) < 4 + 4 * rank:
        raise AnelabError(f"{path}: not an IDX file of unsigned bytes with {rank} dimensions")
    shape = tuple(np.frombuffer(data, ">u4", rank, 4).tolist())
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * rank)
    if values.size != prod(shape):
        raise AnelabError(f"{path}: has {values.size} values, not the shape {shape} it states; it is cut or damaged")
    return values.reshape(shape)


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AnelabError(f"{path}: the gzip stream is damaged or truncated ({error})") from None


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    head = bytes([0, 0, UINT8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + values.tobytes(), mtime=0))
