"""Arrays as `prepare` left them."""

import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from anelab.errors import DamagedFileError
from anelab.learning.base import Array

MOST_UNPACKED = 4 << 30


def load_array(path: Path, shape: tuple[int | None, ...] | None = None) -> Array:
    """Numbers from a .npy file; None in `shape` takes any size. Raises DamagedFileError if they are none, or of another
    shape; absence stays FileNotFoundError."""
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise
    except Exception as error:  # NumPy lets through what parsing its header raises
        raise DamagedFileError(f"{path}: is damaged ({error}); run `dvc checkout`, or make it again") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub" or not _fits(found.shape, shape):
        given = f"{found.dtype} {list(found.shape)}" if isinstance(found, np.ndarray) else "several arrays"
        wanted = (
            "numbers" if shape is None else f"numbers [{', '.join('n' if one is None else str(one) for one in shape)}]"
        )
        raise DamagedFileError(f"{path}: is damaged (it holds {given}, not {wanted}); make it again")
    array: Array = found
    return array


def check_unpacked(file: Path | IO[bytes]) -> None:
    """Raises ValueError for an .npz that unpacks to more than MOST_UNPACKED bytes; other files are left alone."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > MOST_UNPACKED:
            raise ValueError(f"it unpacks to {size:,} bytes; at most {MOST_UNPACKED:,} are taken")


def _fits(found: tuple[int, ...], shape: tuple[int | None, ...] | None) -> bool:
    return shape is None or (
        len(found) == len(shape) and all(want in (None, have) for have, want in zip(found, shape, strict=True))
    )
