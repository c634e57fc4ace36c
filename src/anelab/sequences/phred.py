"""The quality offset: 33 or 64. Read with the wrong one, every bad read passes, so doubt is an error."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np

from anelab.errors import AnelabError, warn
from anelab.sequences.fastq import DEFAULT_WIDTH, Block, Integers, read_blocks
from anelab.sequences.nucleotides import Bytes
from anelab.sequences.streams import Source, title

Phred = Literal["auto", 33, 64]
HIGHEST_SCORE, HIGHEST_CHARACTER = 93, 126
LEAST_OF_64 = 59
"""Solexa's scale, written at offset 64, begins at -5."""
TELLING = 200
"""Reads in a row from which on their qualities tell that they are of another offset than those before."""
LOOKS_LIKE_64 = 80
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

    def take(self, rows: slice) -> "Reads":
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
        watch = _Watch(f"is set by {_name(option)}", option)
        found = ((block, int(phred), watch) for block in blocks)
    for block, offset, watching in found:
        yield _reads(block, offset, watching, pad_score)


def _detected(blocks: Iterator[Block], source: Source, option: str) -> Iterator[tuple[Block, int, "_Watch"]]:
    """At the offset of the first reads: of so many that it does not depend on how the source comes in blocks."""
    waiting: list[Block] = []
    seen = size = 0
    offset = None
    for block in blocks:
        waiting.append(block)
        before, seen, size = seen, seen + len(block), size + int(block.ends[-1] - block.starts[0, 0])
        enough = seen >= ENOUGH or size >= ENOUGH_BYTES
        if before < FIRST <= seen:
            offset = detect(*_span(waiting, FIRST))
        if offset is None and enough:
            offset = detect(*_span(waiting, ENOUGH)) or _refuse_doubt(waiting, source, option)
        if offset is not None:
            break
    if not waiting:
        return
    offset = offset or detect(*_span(waiting, FIRST)) or detect(*_span(waiting, ENOUGH))
    if offset is None and any(block.lengths.any() for block in waiting):
        _refuse_doubt(waiting, source, option)
    watch = _Watch("was detected", option)
    offset = offset or 33  # empty reads have no qualities
    while waiting:  # and none stays in memory
        yield waiting.pop(0), offset, watch
    yield from ((block, offset, watch) for block in blocks)


def _span(blocks: Sequence[Block], count: int) -> tuple[int, int]:
    """The lowest and highest quality character of the first `count` reads; 255 and 0 if they have none."""
    lowest, highest = 255, 0
    for block in blocks:
        part = block.take(slice(count))
        lowest, highest = min(lowest, _extreme(part, 0)), max(highest, _extreme(part, 1))
        count -= len(part)
    return lowest, highest


def _name(option: str) -> str:
    """Of an option that is written like "--phred " or "-S key="."""
    return option.removeprefix("-S ").rstrip(" =")


def detect(lowest: int, highest: int) -> int | None:
    """33 if a character is there that offset 64 does not have; 64 if at that offset the worst base is
    at most Q5 and the best Q16 to Q44, for at offset 33 not one base of the file would be below Q31."""
    if lowest < LEAST_OF_64 or highest > HIGHEST_CHARACTER:
        return 33
    return 64 if 64 <= lowest <= 69 and LOOKS_LIKE_64 <= highest <= 108 else None


def _refuse_doubt(blocks: Sequence[Block], source: Source, option: str) -> NoReturn:
    lowest, highest = _span(blocks, ENOUGH)
    told = f"quality characters span {lowest} to {highest}" if highest else f"the first {ENOUGH:,} reads are empty"
    raise AnelabError(f"{title(source)}: {told}, which may be offset 33 or 64; say which: {option}33 or {option}64")


def _reads(block: Block, offset: int, watch: "_Watch", pad_score: int) -> Reads:
    raw = np.empty((len(block), 2 * block.width), np.uint8)
    raw[:, : block.width] = block.codes
    qualities = block.qualities(offset + pad_score)
    top = min(offset + HIGHEST_SCORE, HIGHEST_CHARACTER)
    if offset == 33:
        watch.see(block, int(qualities.max(initial=0)))
    if len(block) and (qualities.min() < offset or qualities.max() > top or _odd_beyond(block, offset, top)):
        _refuse_character(block, offset, top, watch)
    np.subtract(qualities, np.uint8(offset), out=raw[:, block.width :])
    return Reads(block, raw, offset)


class _Watch:
    """Over reads of offset 33, which was detected or set (`origin`): TELLING of them in a row that look like offset 64
    are of another file."""

    def __init__(self, origin: str, option: str) -> None:
        self.origin, self.option = origin, option
        self._warned = False
        self._count, self._lowest, self._highest = 0, 255, 0

    def see(self, block: Block, highest: int) -> None:
        """Raises FastqError, or warns if the offset was set. `highest` is the block's highest quality character."""
        start = 0
        while start < len(block) and not self._warned:
            whole = (len(block) - start) // TELLING * TELLING
            if not self._count and whole and highest < LOOKS_LIKE_64:
                start += whole
                continue
            part = block.take(slice(start, start + TELLING - self._count))
            start += len(part)
            self._count += len(part)
            self._lowest = min(self._lowest, _extreme(part, 0))
            self._highest = max(self._highest, _extreme(part, 1))
            if self._count == TELLING:
                if detect(self._lowest, self._highest) == 64:
                    self._tell(block, start - TELLING)
                self._count, self._lowest, self._highest = 0, 255, 0

    def _tell(self, block: Block, record: int) -> None:
        """`record` counts from the block's first, and may lie before it."""
        told = (
            f"from here on quality characters span {self._lowest} to {self._highest}, as offset 64 has them, but "
            f"offset 33 {self.origin}"
        )
        if self.origin.startswith("is set"):
            self._warned = True
            warn(f"{title(block.source)}: record {block.before + record + 1}: {told}")
        else:
            fix = f"give files of different offsets one by one, or set {_name(self.option)}"
            raise block.error(record, 3, f"{told}; {fix}")


def _odd_beyond(block: Block, offset: int, top: int) -> bool:
    """Whether what is cut off the long reads has a character outside the range."""
    long = block.lengths > block.width
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
    text = block.text[: bounds[-1] + 1]  # else the last span goes on to the end
    return np.minimum.reduceat(text, bounds)[::2], np.maximum.reduceat(text, bounds)[::2]


def _refuse_character(block: Block, offset: int, top: int, watch: _Watch) -> NoReturn:
    """Name the first record with a character that the offset does not allow."""
    for record in range(len(block)):
        for character in block.line(record, 3):
            if not offset <= character <= top:
                raise block.error(
                    record,
                    3,
                    f"quality character {character} is outside {offset} to {top}, the range of offset {offset}, which "
                    f"{watch.origin}; set {_name(watch.option)} to the offset the file was written with, or mend the "
                    "file (Solexa's scale is not read)",
                )
    raise AssertionError("no character is outside the range")
