"""Reads with Phred scores, at the offset of their quality characters, 33 or 64.

Read with the wrong one, every bad read passes, so doubt is an error: `offsets` has the rule, and `mixed_offsets` looks
for reads of another offset after that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np

from anelab.errors import AnelabError
from anelab.sequences.fastq import DEFAULT_WIDTH, Block, Integers, read_blocks
from anelab.sequences.mixed_offsets import MixedOffsetCheck, option_name
from anelab.sequences.nucleotides import Bytes
from anelab.sequences.offsets import HIGHEST_CHARACTER, detect, doubt, extremes, span_of
from anelab.sequences.streams import Source, title

Phred = Literal["auto", 33, 64]
HIGHEST_SCORE = 93
FIRST, ENOUGH = 10_000, 100_000
"""Reads that decide on the offset, and that do where the first ones leave it in doubt."""
ENOUGH_BYTES = 64 << 20
"""Of long reads; they wait in memory."""


@dataclass(frozen=True)
class Reads:
    """A block and `raw`, uint8 [n, 2 width]: the codes of each read's first bases, then their Phred scores."""

    block: Block
    raw: Bytes
    offset: int

    def __len__(self) -> int:
        return len(self.block)

    def take(self, rows: slice | Integers) -> "Reads":
        return Reads(self.block.take(rows), self.raw[rows], self.offset)


def read_reads(
    source: Source,
    phred: Phred,
    option: str,
    max_records: int | None = None,
    together: int = 1,
    width: int = DEFAULT_WIDTH,
    pad_score: int = 0,
) -> Iterator[Reads]:
    """Every read of a source, at the offset that `phred` says or that its first reads show; `raw` holds `width` bases
    of each, padded with `pad_score`. Raises AnelabError where they may have been written with either offset, or with
    another; it names the `option` that sets it ("--phred ", "-S key=").
    """
    blocks = read_blocks(source, max_records, together, width)
    if phred == "auto":
        found = _detected(blocks, source, option)
    else:
        check = MixedOffsetCheck(True, option)
        found = ((block, int(phred), check) for block in blocks)
    for block, offset, check in found:
        yield _reads(block, offset, check, pad_score)


def _detected(blocks: Iterator[Block], source: Source, option: str) -> Iterator[tuple[Block, int, MixedOffsetCheck]]:
    """At the offset of the first reads: of so many that it does not depend on how the source comes in blocks."""
    waiting: list[Block] = []
    seen = size = 0
    offset = None
    for block in blocks:
        waiting.append(block)
        before, seen, size = seen, seen + len(block), size + int(block.ends[-1] - block.starts[0, 0])
        enough = seen >= ENOUGH or size >= ENOUGH_BYTES
        if before < FIRST <= seen:
            offset = detect(span_of(waiting, FIRST))
        if offset is None and enough:
            offset = detect(span_of(waiting, ENOUGH)) or _refuse_doubt(waiting, source, option)
        if offset is not None:
            break
    if not waiting:
        return
    offset = offset or detect(span_of(waiting, FIRST)) or detect(span_of(waiting, ENOUGH))
    if offset is None and any(block.lengths.any() for block in waiting):
        _refuse_doubt(waiting, source, option)
    check = MixedOffsetCheck(False, option)
    offset = offset or 33  # empty reads have no qualities
    if offset == 33:
        check.count(waiting, FIRST)
    while waiting:  # and none stays in memory
        yield waiting.pop(0), offset, check
    yield from ((block, offset, check) for block in blocks)


def _refuse_doubt(blocks: Sequence[Block], source: Source, option: str) -> NoReturn:
    span = span_of(blocks, ENOUGH)
    if span.reads:
        raise AnelabError(f"{title(source)}: {doubt(span, option)}")
    raise AnelabError(
        f"{title(source)}: the first {ENOUGH:,} reads are empty, which may be offset 33 or 64; say which: {option}33 "
        f"or {option}64"
    )


def _reads(block: Block, offset: int, check: MixedOffsetCheck, pad_score: int) -> Reads:
    raw = np.empty((len(block), 2 * block.width), np.uint8)
    raw[:, : block.width] = block.codes
    qualities = block.qualities(offset + pad_score)
    top = min(offset + HIGHEST_SCORE, HIGHEST_CHARACTER)
    lowest, highest = _bounds(block, qualities)
    if offset == 33:
        check.check(block, highest)
    if lowest < offset or highest > top:
        _refuse_character(block, offset, top, check)
    np.subtract(qualities, np.uint8(offset), out=raw[:, block.width :])
    return Reads(block, raw, offset)


def _bounds(block: Block, qualities: Bytes) -> tuple[int, int]:
    """Lowest and highest quality character, also of what is cut off; `qualities` has the first ones, and pads."""
    lowest, highest = int(qualities.min(initial=255)), int(qualities.max(initial=0))
    long = np.flatnonzero(block.lengths > block.width)
    if not long.size:
        return lowest, highest
    of_long = extremes(block.take(long))
    return min(lowest, int(of_long[0].min())), max(highest, int(of_long[1].max()))


def _refuse_character(block: Block, offset: int, top: int, check: MixedOffsetCheck) -> NoReturn:
    """Name the first record with a character that the offset does not allow."""
    for record in range(len(block)):
        for character in block.line(record, 3):
            if not offset <= character <= top:
                raise block.error(
                    record,
                    3,
                    f"quality character {character} is outside {offset} to {top}, the range of offset {offset}, which "
                    f"{check.origin}; set {option_name(check.option)} to the offset the file was written with, or mend "
                    "the file (Solexa's scale is not read)",
                )
    raise AssertionError("no character is outside the range")
