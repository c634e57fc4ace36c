"""Reads of offset 64 in a file of offset 33: two files that became one.

Nothing in a read of offset 64 is impossible at offset 33, so it takes RUN of them in a row. All must have characters of
64 to 108 only, one of them a character of 80 or more (Q47 at offset 33), and either

- the file's other reads must be without such: fewer than 1 % of them have a character of 80 or more beside one below
  64. In files of merged reads, of nanopore and of HiFi more do, and there is no telling; or
- three of them must end in a run of `B`, as only Illumina 1.5 marks bad ends.

What is found does not depend on how the reads lie in blocks: fewer than RUN in a row are never found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anelab.errors import warn
from anelab.sequences.fastq import Block, FastqError, Integers
from anelab.sequences.offsets import LEAST_OF_64, LIKELY_OF_64, MOST_OF_64, Mask, extremes, marked_ends
from anelab.sequences.streams import title

RUN = 20
"""Reads in a row."""
MOST_HIGH = 0.01
FEWEST_MARKED = 3


@dataclass
class _Run:
    """Reads in a row that have characters of 64 to 108 only. From the `first` on that has one of 80 or more (its number
    in the source, from 0): the `lowest` and `highest` character, how many reads are `marked` at their end, and whether
    the file's other reads have `is_unlike_others`."""

    reads: int = 0
    first: int | None = None
    lowest: int = 255
    highest: int = 0
    marked: int = 0
    is_unlike_others: bool = False


class MixedOffsetCheck:
    """Of the reads of a source at one offset, which `is_set` by the user's `option` or was detected."""

    def __init__(self, is_set: bool, option: str) -> None:
        self._is_set, self.option = is_set, option
        self.origin = f"is set by {option_name(option)}" if is_set else "was detected"
        self._warned = False
        self._run = _Run()
        self._low = self._high = self._counted = 0

    def count(self, blocks: Sequence[Block], most: int) -> None:
        """Take the first `most` reads for what the file's reads are like, before any of them is seen."""
        for block in blocks:
            part = block.take(slice(most - self._counted))
            lowest, highest = _bounds(part)
            self._low += int((highest < LIKELY_OF_64).sum())
            self._high += int(((highest >= LIKELY_OF_64) & (lowest < LEAST_OF_64)).sum())
            self._counted += len(part)

    def check(self, block: Block, highest: int) -> None:
        """The next reads; `highest` is their highest quality character. Raises FastqError, or warns if the offset was
        set."""
        if self._warned or not len(block):
            return
        if highest < LIKELY_OF_64 and self._run.first is None:
            self._low += int((self._numbers(block) >= self._counted).sum())
            self._pass(block)
        else:
            self._search(block)

    def _numbers(self, block: Block) -> Integers:
        return block.before + np.arange(len(block))

    def _pass(self, block: Block) -> None:
        """Reads of which none has a high character: how many of the last ones may begin a run."""
        last = block.take(slice(-RUN, None))
        others = np.flatnonzero(_bounds(last)[0] < LEAST_OF_64)
        reads = len(last) - 1 - int(others[-1]) if others.size else self._run.reads + len(last)
        self._run = _Run(reads)

    def _search(self, block: Block) -> None:
        lowest, highest = _bounds(block)
        inside = (lowest >= LEAST_OF_64) & (highest <= MOST_OF_64)
        high = highest >= LIKELY_OF_64
        counts = self._counts(block, ~high, high & (lowest < LEAST_OF_64))
        edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
        starts, stops = edges[::2], edges[1::2]
        highs = np.append(0, np.cumsum(high))
        worth = (stops - starts >= RUN) & (highs[stops] > highs[starts]) | (starts == 0) | (stops == len(block))
        for start, stop in zip(starts[worth].tolist(), stops[worth].tolist(), strict=True):
            if start:
                self._run = _Run()
            self._extend(block, slice(start, stop), (lowest, highest), counts)
        if not inside[-1]:
            self._run = _Run()

    def _counts(self, block: Block, low: Mask, high: Mask) -> Mask:
        """Whether, before each read, reads without high characters are there, and hardly any with high and low ones."""
        fresh = self._numbers(block) >= self._counted
        lows, highs = (np.append(0, np.cumsum(some & fresh)) for some in (low, high))
        lows, highs = lows + self._low, highs + self._high
        self._low, self._high = int(lows[-1]), int(highs[-1])
        is_unlike_others: Mask = highs < MOST_HIGH * lows
        return is_unlike_others

    def _extend(self, block: Block, rows: slice, bounds: tuple[Integers, Integers], is_unlike_others: Mask) -> None:
        """The run goes on over these rows."""
        run, start = self._run, rows.start
        run.reads += rows.stop - rows.start
        if run.first is None:
            high = np.flatnonzero(bounds[1][rows] >= LIKELY_OF_64)
            if not high.size:
                return
            start += int(high[0])
            run.first, run.is_unlike_others = block.before + start, bool(is_unlike_others[start])
        marked = run.marked + np.cumsum(marked_ends(block.take(slice(start, rows.stop)))[0])
        length = run.reads - np.arange(rows.stop - start - 1, -1, -1)
        found = np.flatnonzero((length >= RUN) & (run.is_unlike_others | (marked >= FEWEST_MARKED)))
        stop = start + int(found[0]) + 1 if found.size else rows.stop
        run.lowest = min(run.lowest, int(bounds[0][start:stop].min()))
        run.highest = max(run.highest, int(bounds[1][start:stop].max()))
        run.marked = int(marked[-1])
        if found.size:
            self._report(block, run.first)

    def _report(self, block: Block, record: int) -> None:
        found = (
            f"from here on quality characters span {self._run.lowest} to {self._run.highest}, as offset 64 has them, "
            f"but offset 33 {self.origin}"
        )
        if self._is_set:
            self._warned = True
            warn(f"{title(block.source)}: record {record + 1}: {found}")
        else:
            fix = f"give files of different offsets one by one, or set {option_name(self.option)}"
            raise FastqError(block.source, record + 1, record * 4 + 4, f"{found}; {fix}")


def option_name(option: str) -> str:
    """Of an option that is written like "--phred " or "-S key="."""
    return option.removeprefix("-S ").rstrip(" =")


def _bounds(block: Block) -> tuple[Integers, Integers]:
    """Lowest and highest quality character of each read; 255 and 0 of an empty one."""
    lowest, highest = np.full(len(block), 255), np.zeros(len(block), np.int64)
    used = np.flatnonzero(block.lengths)
    if used.size:
        lowest[used], highest[used] = extremes(block.take(used))
    return lowest, highest
