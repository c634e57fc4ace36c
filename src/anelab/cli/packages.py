"""Rows on the command line: arrays by input name read from files, outputs written to them."""

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from anelab.errors import AnelabError, UsageError
from anelab.files import replacing

if TYPE_CHECKING:
    from anelab.learning.base import Array, Arrays

STANDARD_STREAM = "-"


def read_rows(path: Path | str, inputs: Sequence[str], option: str = "--input") -> "dict[str, Array]":
    """Arrays by input name from a .npz, or the one input's from a .npy; "-" is standard input. The first axis is the
    rows.

    Raises UsageError if the file is none of the two, or its names are not `inputs`.
    """
    import numpy as np

    where = f"{option} {path}"
    try:
        loaded = np.load(_opened(path), allow_pickle=False)
        arrays = {inputs[0]: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except FileNotFoundError:
        raise UsageError(f"{where}: there is no such file") from None
    except Exception as error:  # NumPy lets through what zipfile, zlib and tokenize raise
        raise UsageError(f"{where}: is no .npz or .npy of numbers, or damaged ({type(error).__name__})") from None
    if sorted(arrays) != sorted(inputs):
        asked = f"np.savez('rows', {', '.join(f'{name}=...' for name in inputs)}) writes one"
        raise UsageError(
            f"{where}: has the arrays {', '.join(sorted(arrays)) or 'none'}, but the model takes "
            f"{', '.join(inputs)}; {asked}"
        )
    if any(array.ndim == 0 or array.dtype.kind not in "fiub" for array in arrays.values()):
        raise UsageError(f"{where}: every array must be of numbers, its first axis the rows")
    if len({len(array) for array in arrays.values()}) != 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise UsageError(f"{where}: all arrays must have as many rows, but they have: {lengths}")
    return arrays


def _opened(path: Path | str) -> Path | io.BytesIO:
    """NumPy looks for the end of a .npz, which a pipe does not have."""
    return io.BytesIO(sys.stdin.buffer.read()) if str(path) == STANDARD_STREAM else Path(path)


def check_output(path: Path | None) -> None:
    """Raises UsageError if the name does not end in .npz."""
    if path is not None and path.suffix != ".npz":
        raise UsageError(f"--output must end in .npz but got {path}")


def write_outputs(path: Path, arrays: "Arrays") -> None:
    """Outputs by name as .npz, or one output as .npy; "-" is standard output. Raises AnelabError if the file cannot be
    written, UsageError if several outputs are to go into one .npy."""
    import numpy as np

    if path.suffix == ".npy":
        if len(arrays) != 1:
            raise UsageError(f"{path}: holds one output, but there are {', '.join(arrays)}; name a .npz")
        _write(path, lambda handle: np.save(handle, next(iter(arrays.values()))))
    else:
        _write(path, lambda handle: np.savez(handle, **arrays))  # type: ignore[arg-type]  # takes a name for an option


def _write(path: Path, save: Callable[[IO[bytes]], None]) -> None:
    if str(path) == STANDARD_STREAM:
        buffer = io.BytesIO()
        save(buffer)
        sys.stdout.buffer.write(buffer.getvalue())
        sys.stdout.buffer.flush()
        return
    try:
        with replacing(path) as draft, draft.open("wb") as handle:
            save(handle)
    except OSError as error:
        raise AnelabError(f"{path}: cannot be written ({error.strerror or error})") from None
