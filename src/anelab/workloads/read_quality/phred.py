"""The quality offset: 33 or 64. Read with the wrong one, every bad read passes, so doubt is an error."""

from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.workloads.read_quality.fastq import WIDTH, Bytes, FastqError, Reads

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
    if lowest < offset or highest > min(offset + HIGHEST, 126):
        _refuse(reads, inside, offset, phred, path)
    return np.where(inside, reads.qualities - (offset - 33), reads.qualities).astype(np.uint8)


def _refuse(reads: Reads, inside: NDArray[np.bool_], offset: int, phred: str | int, path: Path) -> NoReturn:
    """Name the first record with a character that the offset does not allow."""
    top = min(offset + HIGHEST, 126)
    wrong = inside & ((reads.qualities < offset) | (reads.qualities > top))
    record = int(wrong.any(axis=1).argmax())
    character = int(reads.qualities[record, wrong[record].argmax()])
    origin = "was detected" if phred == "auto" else f"is set by {OPTION}"
    raise FastqError(
        path,
        record + 1,
        4 * record + 4,
        f"quality character {character} is outside {offset} to {top}, the range of offset {offset}, which {origin}; "
        f"set {OPTION} to the offset the file was written with, or mend the file (Solexa's scale is not read)",
    )


def _detect(lowest: int, highest: int, path: Path) -> int:
    """33 if a character below 59 is there, which offset 64 does not have; 64 if at that offset the worst base is
    at most Q5 and the best Q16 to Q44, for at offset 33 not one base of the file would be below Q31."""
    if lowest < 59:
        return 33
    if 64 <= lowest <= 69 and 80 <= highest <= 108:
        return 64
    raise AnelabError(
        f"{path}: quality characters span {lowest} to {highest}, which may be offset 33 or 64; "
        f"say which: -S {OPTION}=33 or -S {OPTION}=64"
    )
