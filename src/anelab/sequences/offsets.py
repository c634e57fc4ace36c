"""Which offset quality characters were written with: the rule, in one place.

Phred+33 has characters 33 to 126. Phred+64 (Illumina 1.3 to 1.7) has 64 to 126, in practice to 104 or 105 (Q40, Q41).
Solexa's scale at offset 64 begins at 59 (-5); it is not read. Of the lowest and the highest character of the first
reads (Cock et al. 2010, doi:10.1093/nar/gkp1137, has the three scales):

| lowest | highest | what else | answer |
|---|---|---|---|
| below 59 | any | | 33: no other scale has it |
| any | above 126 | | 33, at which the character is refused |
| 59 to 63 | below 80 | | 33: Phred+64 has no such character, and Solexa's best base would be below 16 |
| 59 to 63 | 80 and above | | asked: 33, or Solexa's |
| 66 (`B`) | 80 to 108 | reads end in runs of `B`, more than begin with them | 64: Illumina 1.5 marks bad ends so |
| 64 to 69 | 104 (`h`) | at least 1 % of the bases have it | 64: Q40 was the most that Illumina 1.3 to 1.7 gave |
| 64 and above | any other | | asked: merged reads at 33 (Q31 and more), or trimmed ones at 64 |

What is asked is an error that names the option. `mixed_offsets` looks for what contradicts the answer later.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.fastq import Block, Integers

HIGHEST_CHARACTER = 126
LEAST_OF_SOLEXA, LEAST_OF_64 = 59, 64
LIKELY_OF_64 = 80
"""At offset 64 some base is Q16 or more; at offset 33 that would be Q47."""
MOST_OF_64 = 108
MARK_OF_BAD_ENDS = ord("B")
MARKED_RUN, MARKED_SHARE = 15, 0.01
"""Bases of a run that marks a bad end, and the share of reads that have one. Reads of Phred+33 begin with up to a dozen
bases of Q33, and do so again where they end, once they are merged."""
CAP_OF_64, CAP_SHARE, LOWEST_AT_CAP = ord("h"), 0.01, 69

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Span:
    """Quality characters of some reads: the lowest and the highest, 255 and 0 if there are none; how many reads and
    bases there are, how many bases have CAP_OF_64, and how many reads end or begin with a run of `B`."""

    lowest: int = 255
    highest: int = 0
    reads: int = 0
    bases: int = 0
    capped: int = 0
    ends: int = 0
    starts: int = 0

    def __add__(self, other: "Span") -> "Span":
        counts = (getattr(self, name) + getattr(other, name) for name in ("reads", "bases", "capped", "ends", "starts"))
        return Span(min(self.lowest, other.lowest), max(self.highest, other.highest), *counts)


def span_of(blocks: Sequence[Block], count: int) -> Span:
    """Of the first `count` reads."""
    found = Span()
    for block in blocks:
        part = block.take(slice(count))
        count -= len(part)
        found += _span(part.take(np.flatnonzero(part.lengths)))
    return found


def _span(block: Block) -> Span:
    """Of reads that are not empty."""
    if not len(block):
        return Span()
    lowest, highest = extremes(block)
    found = Span(int(lowest.min()), int(highest.max()), len(block), int(block.lengths.sum()))
    if found.lowest < LEAST_OF_64:
        return found  # nothing else is asked of it
    at_end, at_start = marked_ends(block)
    capped = sum(block.line(row, 3).count(CAP_OF_64) for row in range(len(block)))
    return Span(found.lowest, found.highest, found.reads, found.bases, capped, int(at_end.sum()), int(at_start.sum()))


def extremes(block: Block) -> tuple[Integers, Integers]:
    """Lowest and highest quality character of each read, none of which is empty."""
    bounds = np.stack([block.starts[:, 3], block.stops[:, 3]], axis=1).ravel()
    text = block.text[: bounds[-1] + 1]  # else the last span goes on to the end
    return np.minimum.reduceat(text, bounds)[::2], np.maximum.reduceat(text, bounds)[::2]


def marked_ends(block: Block) -> tuple[Mask, Mask]:
    """Which reads end with a run of MARKED_RUN `B` and do not begin with one, and which the other way round."""
    long = block.lengths >= MARKED_RUN
    found = []
    for first in (block.stops[long, 3] - MARKED_RUN, block.starts[long, 3]):
        there = np.zeros(len(block), bool)
        there[long] = (block.text[first[:, None] + np.arange(MARKED_RUN)] == MARK_OF_BAD_ENDS).all(axis=1)
        found.append(there)
    at_end, at_start = found
    return at_end & ~at_start, at_start & ~at_end


def detect(span: Span) -> int | None:
    """The offset by the rule above; None where it is to be asked."""
    if span.lowest < LEAST_OF_SOLEXA or span.highest > HIGHEST_CHARACTER:
        return 33
    if span.lowest < LEAST_OF_64:
        return 33 if span.highest < LIKELY_OF_64 else None
    return 64 if _ends_marked(span) or _capped(span) else None


def _ends_marked(span: Span) -> bool:
    enough = span.ends >= max(1, MARKED_SHARE * span.reads) and span.ends > 2 * span.starts
    return enough and span.lowest == MARK_OF_BAD_ENDS and LIKELY_OF_64 <= span.highest <= MOST_OF_64


def _capped(span: Span) -> bool:
    return span.highest == CAP_OF_64 and span.lowest <= LOWEST_AT_CAP and span.capped >= CAP_SHARE * span.bases


def doubt(span: Span, option: str) -> str:
    """What a message says of characters that fit more than one scale; `option` ("--phred ") sets the offset."""
    found = f"quality characters span {span.lowest} to {span.highest}"
    at_33 = f"Q{span.lowest - 33} to Q{span.highest - 33}"
    if span.lowest < LEAST_OF_64:
        return (
            f"{found}: offset 33 ({at_33}) or Solexa's scale, which is not read; offset 64 begins at {LEAST_OF_64}. "
            f"If it is 33, set {option}33"
        )
    at_64 = f"Q{span.lowest - 64} to Q{span.highest - 64}"
    return (
        f"{found}, which may be offset 33 or 64; say which: {option}33 or {option}64 (at 33 they are {at_33}, as of "
        f"merged reads; at 64 {at_64})"
    )
