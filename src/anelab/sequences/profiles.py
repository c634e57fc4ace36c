"""Which k-mers sequences have, and how often; a k-mer and its reverse complement are one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.arrays import Offsets, SequenceArray
from anelab.sequences.kmers import Codes, canonical_ranks, kmer_codes

ROWS_AT_ONCE = 1024
MOST_CELLS = 1 << 24
"""Sequences times k-mers, of a table of which are there."""


def kmer_profiles(sequences: SequenceArray, k: int) -> NDArray[np.float32]:
    """[n, canonical k-mers]: counts, divided so that each row has length 1; zeros for one without any."""
    width = len(canonical_ranks(k)[1])
    found = np.empty((len(sequences), width), np.float32)
    for start in range(0, len(sequences), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(sequences)))
        codes, offsets = kmer_lists(sequences.take(rows), k)
        cells = np.repeat(np.arange(len(rows)), np.diff(offsets)) * width + codes
        found[rows] = np.bincount(cells, minlength=len(rows) * width).reshape(len(rows), width)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    return found


def kmer_lists(sequences: SequenceArray, k: int) -> tuple[Codes, Offsets]:
    """The canonical k-mers of each sequence, as places among all of them: those of sequence i are
    codes[offsets[i]:offsets[i + 1]]. What holds a letter that is none of ACGT is left out."""
    codes, valid = kmer_codes(sequences.letters, k)
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)[: len(codes)]
    whole = valid & (np.arange(len(codes)) + k <= sequences.offsets[1:][owner])
    offsets = np.zeros(len(sequences) + 1, np.int64)
    np.cumsum(np.bincount(owner[whole], minlength=len(sequences)), out=offsets[1:])
    return canonical_ranks(k)[0][codes[whole]].astype(np.uint32), offsets


@dataclass(frozen=True)
class KmerSets:
    """The distinct canonical k-mers of each sequence: `codes` uint16 or uint32 [all], `offsets` int64 [n + 1]."""

    k: int
    codes: NDArray[Any]
    offsets: Offsets

    @classmethod
    def of(cls, sequences: SequenceArray, k: int) -> "KmerSets":
        width = len(canonical_ranks(k)[1])
        dtype = np.uint16 if width <= 1 << 16 else np.uint32
        parts, sizes = [np.empty(0, dtype)], [np.zeros(0, np.int64)]
        together = max(MOST_CELLS // width, 1)
        for start in range(0, len(sequences), together):
            rows = np.arange(start, min(start + together, len(sequences)))
            codes, offsets = kmer_lists(sequences.take(rows), k)
            table = np.zeros(len(rows) * width, bool)
            table[np.repeat(np.arange(len(rows)), np.diff(offsets)) * width + codes] = True
            cells = np.flatnonzero(table)
            parts.append((cells % width).astype(dtype))
            sizes.append(np.bincount(cells // width, minlength=len(rows)))
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
        return cls(k, np.concatenate(parts), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Offsets:
        """int64 [n]"""
        return np.diff(self.offsets)

    def take(self, rows: NDArray[Any]) -> "KmerSets":
        found = SequenceArray.gather(self.codes, self.offsets[:-1][rows], self.sizes[rows])
        return KmerSets(self.k, found.letters, found.offsets)

    def shared(self, others: "KmerSets", rows: NDArray[Any]) -> NDArray[np.int64]:
        """int64 [n, m]: how many k-mers each of these has in common with those of `others` in `rows`, [n, m]."""
        table = np.zeros(len(canonical_ranks(self.k)[1]), bool)
        found = np.zeros(rows.shape, np.int64)
        starts, sizes = others.offsets[:-1], others.sizes
        for place, wanted in enumerate(rows if rows.size else ()):
            own = self.codes[self.offsets[place] : self.offsets[place + 1]]
            table[own] = True
            begins, counts = starts[wanted], sizes[wanted]
            ends = np.cumsum(counts)
            where = np.arange(ends[-1]) + np.repeat(begins - ends + counts, counts)
            sums = np.concatenate([[0], np.cumsum(table[others.codes[where]])])
            found[place] = sums[ends] - sums[ends - counts]
            table[own] = False
        return found

    def shared_with_all(self, others: "KmerSets") -> NDArray[np.int64]:
        """int64 [n, m]: how many k-mers each of these has in common with each of `others`."""
        from scipy.sparse import csr_matrix

        width = len(canonical_ranks(self.k)[1])
        one, other = (
            csr_matrix(
                (np.ones(len(sets.codes), np.int32), sets.codes.astype(np.int32), sets.offsets), (len(sets), width)
            )
            for sets in (self, others)
        )
        found: NDArray[np.int64] = (one @ other.T).toarray().astype(np.int64)
        return found

    def containment(self, others: "KmerSets", rows: NDArray[Any]) -> NDArray[np.float32]:
        """Float [n, m]: of `shared`, the share of the smaller of both sets."""
        smaller = np.minimum(self.sizes[:, None], others.sizes[rows])
        found: NDArray[np.float32] = (self.shared(others, rows) / np.maximum(smaller, 1)).astype(np.float32)
        return found
