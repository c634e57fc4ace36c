"""Which sequences are related: those that share a stretch, on either strand, and all that are linked through others."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.genome import reverse_complement
from anelab.sequences.nucleotides import CODES, Bytes

STRETCH = 60
"""Bases that two sequences must have alike, without any other letter among them."""
ROWS_AT_ONCE, ROWS_A_PART = 4096, 150_000
FIRST, LAST = CODES[ord("A")], CODES[ord("T")]
FACTOR = np.uint64(0x9E3779B97F4A7C15)
OFFSET = np.uint64(0xD1B54A32D192ED03)

Hashes = NDArray[np.uint64]
Groups = NDArray[np.int64]


def _hashes_of(codes: Bytes, stretch: int) -> tuple[Hashes, Groups]:
    """Of rows of codes: the hash of every stretch of bases and the row that it is in. A stretch and its reverse
    complement have the same hash; others have the same by a chance of 2^-64 a pair."""
    if codes.shape[1] < stretch:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    forward, reverse = _rolling(codes, stretch), _rolling(reverse_complement(codes), stretch)[:, ::-1]
    odd = np.cumsum((codes < FIRST) | (codes > LAST), axis=1)
    before = np.concatenate([np.zeros((len(codes), 1), odd.dtype), odd[:, :-stretch]], axis=1)
    whole = odd[:, stretch - 1 :] == before
    rows = np.repeat(np.arange(len(codes)), whole.sum(axis=1))
    return np.minimum(forward, reverse)[whole], rows


def _rolling(codes: Bytes, stretch: int) -> Hashes:
    """Uint64 [n, width - stretch + 1]: a polynomial of the codes of each stretch, of powers of two put together."""
    width = codes.shape[1]
    power, size = codes.astype(np.uint64) * FACTOR + OFFSET, 1
    factor = FACTOR
    found, taken = np.zeros((len(codes), width), np.uint64), 0
    with np.errstate(over="ignore"):
        while size <= stretch:
            if stretch & size:
                count = width - taken - size + 1
                found = found[:, :count] * factor + power[:, taken : taken + count]
                taken += size
            count = width - 2 * size + 1
            if count > 0:
                power = power[:, :count] * factor + power[:, size : size + count]
            factor, size = factor * factor, 2 * size
    found ^= found >> np.uint64(31)
    return found * OFFSET


def linked(rows: int, hashes: Hashes, of: Groups, others: Groups | None = None) -> Groups:
    """Int64 [rows]: a number for each group of rows that have a hash alike, directly or through others. `others`,
    [rows], are groups that are known already and stay together, -1 for none."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    order = np.argsort(hashes)
    hashes, of = hashes[order], of[order]
    same = np.flatnonzero(hashes[1:] == hashes[:-1])
    left, right = [of[same]], [of[same + 1]]
    if others is not None:
        order = np.argsort(others, kind="stable")
        same = np.flatnonzero((others[order][1:] == others[order][:-1]) & (others[order][1:] >= 0))
        left.append(order[same])
        right.append(order[same + 1])
    edges = np.concatenate(left), np.concatenate(right)
    graph = coo_matrix((np.ones(len(edges[0]), bool), edges), shape=(rows, rows))
    found: Groups = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def row_hashes(codes: Bytes) -> Hashes:
    """Uint64 [n]: of each row as a whole, whatever its letters; its reverse complement has the same."""
    width, found = codes.shape[1], np.empty(len(codes), np.uint64)
    for start in range(0, len(codes), ROWS_AT_ONCE):
        some = codes[start : start + ROWS_AT_ONCE]
        own, other = _rolling(some, width)[:, 0], _rolling(reverse_complement(some), width)[:, 0]
        found[start : start + ROWS_AT_ONCE] = np.minimum(own, other)
    return found


class Relations:
    """Hashes that two rows of codes, uint8 [n, width], have alike if they share a stretch on either strand, or are the
    same as a whole. They come in parts, by their values, so that those of many rows need not be in memory at once: of
    each part the hashes, and the row of each."""

    def __init__(self, codes: Bytes, stretch: int = STRETCH) -> None:
        self.codes, self.stretch = codes, min(stretch, codes.shape[1])
        self.count = -(-len(codes) // ROWS_A_PART)
        self.kept: list[tuple[Hashes, Groups]] = []

    def __iter__(self) -> Iterator[tuple[Hashes, Groups]]:
        if self.count > 1:
            return (self._part(number) for number in range(self.count))
        if not self.kept:
            self.kept = [self._part(0)]
        return iter(self.kept)

    def _part(self, number: int) -> tuple[Hashes, Groups]:
        found = []
        for start in range(0, len(self.codes), ROWS_AT_ONCE):
            codes = self.codes[start : start + ROWS_AT_ONCE]
            hashes, of = _hashes_of(codes, self.stretch)
            hashes = np.concatenate([hashes, row_hashes(codes)])
            of = np.concatenate([of, np.arange(len(codes))]) + start
            inside = hashes % np.uint64(max(self.count, 1)) == number
            found.append((hashes[inside], of[inside]) if self.count > 1 else (hashes, of))
        return np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found])


def homology_groups(codes: Bytes, others: Groups | None = None, stretch: int = STRETCH) -> Groups:
    """Int64 [n] of rows of codes, uint8 [n, width]: rows that share a stretch on either strand, or are the same, are in
    one group, those too that are one of `others`."""
    return related(Relations(codes, stretch), others)


def related(relations: Relations, others: Groups | None = None) -> Groups:
    """Int64 [n]: a number for each group of rows that have a hash alike, directly or through others. `others`, [n], are
    groups that are known already and stay together, -1 for none."""
    groups = others
    for hashes, of in relations:
        groups = linked(len(relations.codes), hashes, of, groups)
    return np.arange(len(relations.codes)) if groups is None else groups
