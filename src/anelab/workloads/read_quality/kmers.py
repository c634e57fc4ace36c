"""The 21-mers of a library, and how often each occurs; a strand and its complement are one."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.nucleotides import Bytes

K = 21
CHUNK = 4096
"""Reads at a time, for the numbers of their 21-mers are 30 times as large as they."""

Kmers = NDArray[np.uint64]
Counts = NDArray[np.int64]


class KmerTable(NamedTuple):
    """Distinct 21-mers in ascending order, and their counts."""

    kmers: Kmers
    counts: Counts

    @classmethod
    def of(cls, codes: Bytes) -> "KmerTable":
        """Of base codes [n, width]. What holds a letter that is none of ACGT does not count."""
        parts = (_kmers(codes[part]) for part in chunks(len(codes)))
        return cls(*np.unique(np.concatenate([kmers[valid] for kmers, valid in parts]), return_counts=True))

    def lookup(self, codes: Bytes) -> Counts:
        """How often each read's 21-mers occur, [n, places]; 0 where there is none."""
        kmers, valid = _kmers(codes)
        if not len(self.kmers):
            return np.zeros(kmers.shape, np.int64)
        place = np.minimum(np.searchsorted(self.kmers, kmers), len(self.kmers) - 1)
        return np.where(valid & (self.kmers[place] == kmers), self.counts[place], 0)

    def support(self, codes: Bytes) -> Counts:
        """Of each base, [n, width]: how often the commonest of the 21-mers over it occurs."""
        counts = self.lookup(codes)
        best = np.zeros(codes.shape, np.int64)
        for shift in range(K):
            part = best[:, shift : shift + counts.shape[1]]
            np.maximum(part, counts, out=part)
        return best

    def typical(self, codes: Bytes) -> NDArray[np.float64]:
        """The median count of each read's 21-mers, [n]; 0 for a read that has none."""
        medians = np.zeros(len(codes))
        for part in chunks(len(codes)):
            counts = np.sort(self.lookup(codes[part]), axis=1)
            there, places = np.count_nonzero(counts, axis=1), counts.shape[1]
            middle = np.minimum(places - there + there // 2, places - 1)
            medians[part] = np.where(there > 0, counts[np.arange(len(counts)), middle], 0)
        return medians


def chunks(count: int) -> Iterator[slice]:
    """Parts of so many rows; of none, an empty one."""
    return (slice(at, at + CHUNK) for at in range(0, max(count, 1), CHUNK))


def _kmers(codes: Bytes) -> tuple[Kmers, NDArray[np.bool_]]:
    """21-mers as numbers, the lesser of both strands, [n, width - 20], and whether each has only A, C, G and T."""
    bits, valid = (codes - np.uint8(4)).astype(np.uint64) & np.uint64(3), (codes >= 4) & (codes <= 7)
    places = codes.shape[1] - K + 1
    forward, backward = (np.zeros((len(codes), places), np.uint64) for _ in range(2))
    whole = np.ones((len(codes), places), bool)
    for shift in range(K):
        base = bits[:, shift : shift + places]
        forward = forward << np.uint64(2) | base
        backward |= (np.uint64(3) - base) << np.uint64(2 * shift)
        whole &= valid[:, shift : shift + places]
    return np.minimum(forward, backward), whole
