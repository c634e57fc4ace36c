"""k-mers as numbers: two bits a base, A 0, C 1, G 2, T 3, the first base highest; so is the order of the letters."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.nucleotides import Bytes

Codes = NDArray[np.uint32]
MOST_K = 12
LETTERS = "ACGT"


def _bits_table() -> Bytes:
    table = np.full(256, 4, np.uint8)
    for bits, letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
        table[list(letters)] = bits
    return table


BITS = _bits_table()
"""Of each of 256 characters; 4 of what is none of A, C, G, T and U."""


def kmer_codes(letters: Bytes, k: int) -> "tuple[Codes, NDArray[np.bool_]]":
    """Codes of all k-mers of letters, uint8 [bases], and whether each has no letter but A, C, G and T: both
    [bases - k + 1], or empty."""
    bits = BITS[letters]
    places = max(len(bits) - k + 1, 0)
    odd = bits == 4
    if odd.any():
        before = np.concatenate([[0], np.cumsum(odd)])
        valid = before[k : k + places] == before[:places]
    else:
        valid = np.ones(places, bool)
    return _rolled((bits & 3).astype(np.uint32), k), valid


def _rolled(base: Codes, k: int) -> Codes:
    """Codes of k bases from those of half as many, twice."""
    if k > len(base):
        return np.empty(0, np.uint32)
    if k == 1:
        return base
    half = k // 2
    first = _rolled(base, half)
    rest = first if 2 * half == k else _rolled(base, k - half)
    left, right = first[: len(base) - k + 1], rest[half:]
    return (left << np.uint32(2 * (k - half))) | right


def reverse_complement_codes(codes: Codes, k: int) -> Codes:
    """Of each code that of the other strand."""
    rest, found = codes.astype(np.uint32), np.zeros_like(codes, np.uint32)
    for _ in range(k):
        found = (found << np.uint32(2)) | (np.uint32(3) - (rest & np.uint32(3)))
        rest = rest >> np.uint32(2)
    return found


@cache
def canonical_ranks(k: int) -> "tuple[NDArray[np.int32], Codes]":
    """int32 [4^k]: the place of each code's canonical one among the canonical codes, which come second, rising."""
    codes = np.arange(4**k, dtype=np.uint32)
    lesser = np.minimum(codes, reverse_complement_codes(codes, k))
    kept = np.flatnonzero(lesser == codes).astype(np.uint32)
    ranks = np.empty(4**k, np.int32)
    ranks[kept] = np.arange(len(kept), dtype=np.int32)
    return ranks[lesser], kept


def kmer_text(code: int, k: int) -> str:
    return "".join(LETTERS[code >> 2 * place & 3] for place in range(k - 1, -1, -1))
