"""The quality offset: 33 or 64. Read with the wrong one, every bad read passes, so doubt is an error."""

from pathlib import Path

import numpy as np

from anelab.errors import AnelabError
from anelab.workloads.read_quality.fastq import WIDTH, Bytes, Reads

HIGHEST = 93
OPTION = "read_quality.data.phred"


def to_phred33(reads: Reads, phred: str | int, path: Path) -> Bytes:
    """Quality characters at offset 33, pads untouched. Raises AnelabError if `phred` cannot be right."""
    inside = np.arange(WIDTH) < reads.lengths[:, None]
    used = reads.qualities[inside]
    if not used.size:
        return reads.qualities
    lowest, highest = int(used.min()), int(used.max())
    offset = _detect(lowest, highest, path) if phred == "auto" else int(phred)
    if lowest < offset or highest > offset + HIGHEST:
        raise AnelabError(
            f"{path}: quality characters span {lowest} to {highest}, but {OPTION}={offset} allows "
            f"{offset} to {min(offset + HIGHEST, 126)}; set {OPTION} to the offset the file was written with"
        )
    return np.where(inside, reads.qualities - (offset - 33), reads.qualities).astype(np.uint8)


def _detect(lowest: int, highest: int, path: Path) -> int:
    """Characters below 59 exist only at offset 33; above 74 (Q41) a short-read file is at 64."""
    if lowest < 59:
        return 33
    if highest > 74:
        return 64
    raise AnelabError(
        f"{path}: quality characters span {lowest} to {highest}, which fits offset 33 and 64; "
        f"say which: -S {OPTION}=33 or -S {OPTION}=64"
    )
