"""What each exported file answers for the test set, as it was when the file was proven, so that its judges need not run
it again."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from anelab.files import replacing
from anelab.learning.arrays import check_unpacked
from anelab.learning.base import Array, Arrays

TEST_ROWS = "test_rows.npz"
OF = "test_digest"


def write_test_rows(path: Path, test_digest: str, rows: Mapping[str, Arrays]) -> None:
    """`rows` by the sha256 of the file. Equal rows give equal bytes."""
    arrays = {f"{sha256}/{name}": array for sha256, named in rows.items() for name, array in named.items()}
    with replacing(path) as draft, draft.open("wb") as target:
        np.savez_compressed(target, allow_pickle=False, **{OF: np.array(test_digest), **arrays})


def read_test_rows(path: Path, test_digest: str) -> dict[str, dict[str, Array]]:
    """By the sha256 of the file; none if they are of another test set, not there, or damaged."""
    found: dict[str, dict[str, Array]] = {}
    try:
        check_unpacked(path)
        with np.load(path, allow_pickle=False) as kept:
            for key in kept.files if str(kept[OF]) == test_digest else ():
                sha256, _, name = key.partition("/")
                if name:
                    found.setdefault(sha256, {})[name] = kept[key]
    except Exception:  # NumPy lets through what zipfile and zlib raise
        return {}
    return found
