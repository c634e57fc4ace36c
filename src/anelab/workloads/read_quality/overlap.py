"""What mates tell of each other's errors where they overlap, without a reference (Stoler & Nekrutenko 2021).

Both ends of a fragment are read on their own, so where they overlap and disagree, one of them is wrong: the one whose
21-mers around that base are rarer in the library. Which has the lower quality does not decide, for quality is what is
to be judged. A difference that the library does not decide leaves its pair out.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.fastq import Integers
from anelab.sequences.nucleotides import PAD_CODE, Bytes
from anelab.workloads.read_quality.kmers import KmerTable, chunks

LEAST_OVERLAP, LEAST_COMPARED = 30, 15
"""Bases that mates have in common, to be taken for an overlap, and to tell that there may be another one."""
MOST_DIFFERENT = 0.2
"""Share of an overlap's bases: the last bases of long reads are wrong one time in ten, in either mate."""
NEXT_DIFFERENT = 0.3
"""Wherever else the mates are laid on each other, they must differ at least so much, or they repeat themselves."""
DECISIVE = 2
"""The right base's 21-mers must occur so often, and so many times as often as the wrong one's."""
UNREAD = 8
COMPLEMENT = np.array([PAD_CODE, 1, 2, 3, 7, 6, 5, 4, UNREAD], np.uint8)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Overlaps:
    """Of the m reads whose overlap with their mate is trusted and decided: `rows` [m] among those given; `covered` and
    `wrong` [m, width], where the overlap is and where the read errs in it; `abundance` [m], how often the median 21-mer
    of that piece, put right, occurs in the library (free of errors, which thins it out: at 2 % of errors a base by a
    third). Of its `pairs`, so many are `trusted`; of these so many are `differing`, and so many `undecided`."""

    rows: Integers
    covered: Mask
    wrong: Mask
    abundance: NDArray[np.float64]
    pairs: int
    trusted: int
    differing: int
    undecided: int


class _Judged(NamedTuple):
    """Of n pairs: whether every difference is `decided`, [n], and whether there is any; then of first and second mates,
    [2, n, width], what is `covered`, what is `wrong`, and the codes that are `right`, pads where none is known."""

    decided: Mask
    differing: Mask
    covered: Mask
    wrong: Mask
    right: Bytes


def find_overlaps(codes: Bytes, first: Integers, second: Integers) -> Overlaps:
    """Of all base codes [n, width] of one library, in which `first` and `second` [pairs] are rows of mates."""
    places = [_placed(codes[first[part]], codes[second[part]]) for part in chunks(len(first))]
    start, sure = (np.concatenate(parts) for parts in zip(*places, strict=True))
    mates = np.stack([first, second])[:, sure]
    start = start[sure]
    table = KmerTable.of(codes)
    found = [_judged(codes[mates[0, part]], codes[mates[1, part]], start[part], table) for part in chunks(len(start))]
    decided = np.concatenate([part.decided for part in found])
    covered, wrong, right = (
        np.concatenate(parts, axis=1)[:, decided].reshape(-1, codes.shape[1])
        for parts in zip(*(part[2:] for part in found), strict=True)
    )
    return Overlaps(
        rows=mates[:, decided].reshape(-1),
        covered=covered,
        wrong=wrong,
        abundance=table.typical(right),
        pairs=len(first),
        trusted=len(start),
        differing=int(sum(part.differing.sum() for part in found)),
        undecided=int((~decided).sum()),
    )


def reverse_complement(codes: Bytes) -> Bytes:
    """Base codes [n, width], pads at the end, of the other strand."""
    place = np.count_nonzero(codes, axis=1)[:, None] - 1 - np.arange(codes.shape[1])
    turned = COMPLEMENT[np.take_along_axis(codes, np.maximum(place, 0), axis=1)]
    return np.where(place >= 0, turned, np.uint8(PAD_CODE))


def _placed(one: Bytes, two: Bytes) -> tuple[Integers, Mask]:
    """Where in the first mate the second, turned round, begins, [n], and whether that can be trusted."""
    turned, width = reverse_complement(two), one.shape[1]
    starts = np.arange(LEAST_COMPARED - width, width - LEAST_COMPARED + 1)
    share, common = np.ones((len(one), len(starts))), np.zeros((len(one), len(starts)), np.int64)
    for column, start in enumerate(starts.tolist()):
        left, right = one[:, max(start, 0) : width + min(start, 0)], turned[:, max(-start, 0) : width - max(start, 0)]
        both = (left % UNREAD != 0) & (right % UNREAD != 0)  # neither a pad nor unread
        count, differing = both.sum(axis=1), ((left != right) & both).sum(axis=1)
        share[:, column] = np.where(count >= LEAST_COMPARED, (differing + 1) / (count + 2), 1.0)
        common[:, column] = count
    rows, best = np.arange(len(one)), np.where(common >= LEAST_OVERLAP, share, 1.0).argmin(axis=1)
    least = share[rows, best]
    share[rows, best] = 1.0
    return starts[best], (least <= MOST_DIFFERENT) & (share.min(axis=1) >= NEXT_DIFFERENT)


def _judged(one: Bytes, two: Bytes, start: Integers, table: KmerTable) -> _Judged:
    """Base by base which mate errs. What is decided is put right, which may decide its neighbours."""
    one, two, width = one.copy(), two.copy(), one.shape[1]
    last = np.count_nonzero(two, axis=1)[:, None] - 1
    place = last - np.arange(width) + start[:, None]  # in the second mate, of each base of the first
    common = (place >= 0) & (place <= last) & (one != PAD_CODE)
    place = np.clip(place, 0, width - 1)
    other = COMPLEMENT[np.take_along_axis(two, place, axis=1)]
    wrong = np.stack([one == UNREAD, other == UNREAD]) & common
    differing = common & (one != other)
    unsure = differing & ~wrong.any(axis=0)
    changed = True
    while changed and unsure.any():
        pairs = np.flatnonzero(unsure.any(axis=1))
        ours = table.support(one[pairs])
        theirs = np.take_along_axis(table.support(two[pairs]), place[pairs], axis=1)
        ours_right = unsure[pairs] & (ours >= DECISIVE * np.maximum(theirs, 1))
        theirs_right = unsure[pairs] & (theirs >= DECISIVE * np.maximum(ours, 1))
        changed = bool(ours_right.any() or theirs_right.any())
        wrong[0, pairs] |= theirs_right
        wrong[1, pairs] |= ours_right
        unsure[pairs] &= ~(ours_right | theirs_right)
        one[pairs] = np.where(theirs_right, other[pairs], one[pairs])
        row, base = np.nonzero(ours_right)
        two[pairs[row], place[pairs[row], base]] = COMPLEMENT[one[pairs[row], base]]
    covered, erring = (np.stack([mine, _in_second(theirs, place)]) for mine, theirs in ((common, common), wrong))
    right = np.where(covered, np.stack([one, two]), np.uint8(PAD_CODE))
    return _Judged(~unsure.any(axis=1), differing.any(axis=1), covered, erring, right)


def _in_second(mask: Mask, place: Integers) -> Mask:
    """A mask of the first mate's places, in those of the second."""
    found = np.zeros_like(mask)
    row, base = np.nonzero(mask)
    found[row, place[row, base]] = True
    return found
