"""The quality offset: 33 or 64. Read with the wrong one, every bad read passes, so doubt is an error."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np

from anelab.errors import AnelabError, warn
from anelab.workloads.read_quality.fastq import PAD_SCORE, WIDTH, Block, Bytes, Integers, read_blocks
from anelab.workloads.read_quality.streams import Source, title

Phred = Literal["auto", 33, 64]
HIGHEST_SCORE, HIGHEST_CHARACTER = 93, 126
LEAST_OF_64 = 59
"""Solexa's scale, written at offset 64, begins at -5."""
TELLING = 200
"""Reads of a block from which on their qualities tell of their offset."""
LOOKS_LIKE_64 = 80
ENOUGH = 100_000
"""Reads after which an offset that is still in doubt stays so."""


@dataclass(frozen=True)
class Reads:
    """A block with what the model sees of it: `raw`, uint8 [n, 2 WIDTH], bytes of reads/3."""

    block: Block
    raw: Bytes
    offset: int

    def __len__(self) -> int:
        return len(self.block)

    def take(self, rows: slice) -> "Reads":
        return Reads(self.block.take(rows), self.raw[rows], self.offset)


def read_reads(
    source: Source, phred: Phred, option: str, max_records: int | None = None, together: int = 1
) -> Iterator[Reads]:
    """Every read of a source, at the offset that `phred` says or that its first reads show. Raises AnelabError where
    they may have been written with either, or with another; it names the `option` that sets it ("--phred ", "-S key=").
    """
    waiting: list[Block] = []
    offset = None if phred == "auto" else int(phred)
    lowest, highest, seen = 255, 0, 0
    for block in read_blocks(source, max_records, together):
        if offset is None:
            waiting.append(block)
            lowest, highest, seen = min(lowest, _extreme(block, 0)), max(highest, _extreme(block, 1)), seen + len(block)
            offset = detect(lowest, highest)
            if offset is None and seen < ENOUGH:
                continue
            offset = offset or _refuse_doubt(lowest, highest, source, option)
            yield from (_reads(one, offset, "was detected", option) for one in waiting)
            waiting = []
        else:
            yield _reads(block, offset, "was detected" if phred == "auto" else f"is set by {_name(option)}", option)
    if waiting:
        offset = _refuse_doubt(lowest, highest, source, option) if highest else 33  # empty reads have no qualities
        yield from (_reads(one, offset, "was detected", option) for one in waiting)


def _name(option: str) -> str:
    """Of an option that is written like "--phred " or "-S key="."""
    return option.removeprefix("-S ").rstrip(" =")


def detect(lowest: int, highest: int) -> int | None:
    """33 if a character is there that offset 64 does not have; 64 if at that offset the worst base is
    at most Q5 and the best Q16 to Q44, for at offset 33 not one base of the file would be below Q31."""
    if lowest < LEAST_OF_64 or highest > HIGHEST_CHARACTER:
        return 33
    return 64 if 64 <= lowest <= 69 and LOOKS_LIKE_64 <= highest <= 108 else None


def _refuse_doubt(lowest: int, highest: int, source: Source, option: str) -> NoReturn:
    raise AnelabError(
        f"{title(source)}: quality characters span {lowest} to {highest}, which may be offset 33 or 64; "
        f"say which: {option}33 or {option}64"
    )


def _reads(block: Block, offset: int, origin: str, option: str) -> Reads:
    raw = np.empty((len(block), 2 * WIDTH), np.uint8)
    raw[:, :WIDTH] = block.codes
    qualities = block.qualities(offset + PAD_SCORE)
    top = min(offset + HIGHEST_SCORE, HIGHEST_CHARACTER)
    if offset == 33 and len(block) >= TELLING and int(qualities.max()) >= LOOKS_LIKE_64:
        _check_still_33(block, origin, option)
    if len(block) and (qualities.min() < offset or qualities.max() > top or _odd_beyond(block, offset, top)):
        _refuse_character(block, offset, top, origin, option)
    np.subtract(qualities, np.uint8(offset), out=raw[:, WIDTH:])
    return Reads(block, raw, offset)


def _check_still_33(block: Block, origin: str, option: str) -> None:
    """TELLING reads in a row that look like offset 64 are of another file. Raises FastqError, or warns if the offset
    was set."""
    for start in range(0, len(block) - TELLING + 1, TELLING):
        part = block.take(slice(start, start + TELLING))
        lowest, highest = _extreme(part, 0), _extreme(part, 1)
        if detect(lowest, highest) != 64:
            continue
        told = f"quality characters span {lowest} to {highest}, as offset 64 has them, but offset 33 {origin}"
        if not origin.startswith("is set"):
            fix = f"give files of different offsets one by one, or set {_name(option)}"
            raise block.error(start, 3, f"from here on {told}; {fix}")
        warn(f"{title(block.source)}: record {block.before + start + 1}: from here on {told}")
        return


def _odd_beyond(block: Block, offset: int, top: int) -> bool:
    """Whether what is cut off the long reads has a character outside the range."""
    long = block.lengths > WIDTH
    if not long.any():
        return False
    lowest, highest = _extremes(block, long)
    return bool((lowest < offset).any() or (highest > top).any())


def _extreme(block: Block, which: int) -> int:
    """The lowest (0) or highest (1) quality character of the block; 255 and 0 if it has none."""
    used = block.lengths > 0
    found = _extremes(block, used)[which] if used.any() else np.array([[255, 0][which]])
    return int(found.max() if which else found.min())


def _extremes(block: Block, chosen: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> tuple[Integers, Integers]:
    """Lowest and highest quality character of the chosen reads, which are not empty."""
    bounds = np.stack([block.starts[chosen, 3], block.stops[chosen, 3]], axis=1).ravel()
    return np.minimum.reduceat(block.text, bounds)[::2], np.maximum.reduceat(block.text, bounds)[::2]


def _refuse_character(block: Block, offset: int, top: int, origin: str, option: str) -> NoReturn:
    """Name the first record with a character that the offset does not allow."""
    for record in range(len(block)):
        for character in block.line(record, 3):
            if not offset <= character <= top:
                raise block.error(
                    record,
                    3,
                    f"quality character {character} is outside {offset} to {top}, the range of offset {offset}, which "
                    f"{origin}; set {_name(option)} to the offset the file was written with, or mend the file "
                    "(Solexa's scale is not read)",
                )
    raise AssertionError("no character is outside the range")
