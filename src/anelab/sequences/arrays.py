"""Sequences of any lengths as two arrays: all their letters one after the other, and where each begins."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.nucleotides import NUCLEOTIDES, Bytes

Offsets = NDArray[np.int64]
COMPLEMENTS = dict(zip(b"ACGTURYSWKMBDHVN", b"TGCAAYRSWMKVHDBN", strict=True))


def _complement_table() -> Bytes:
    table = np.arange(256, dtype=np.uint8)
    for letter, other in COMPLEMENTS.items():
        table[letter], table[letter | 32] = other, other | 32
    return table


COMPLEMENT = _complement_table()
"""Of each of 256 characters; those that are no nucleotide stay as they are."""


def _upper_table() -> Bytes:
    table = np.arange(256, dtype=np.uint8)
    for letter in NUCLEOTIDES:
        table[letter | 32] = letter
    table[list(b"Uu")] = ord("T")
    return table


UPPER = _upper_table()
"""Nucleotides in upper case, U as T."""


@dataclass(frozen=True)
class SequenceArray:
    """`letters`: uint8 [bases]; `offsets`: int64 [n + 1], rising: sequence i is letters[offsets[i]:offsets[i + 1]]."""

    letters: Bytes
    offsets: Offsets

    @classmethod
    def of(cls, sequences: "Iterable[str | bytes | Bytes]") -> "SequenceArray":
        """In upper case, U as T. Whether letters are nucleotides is for who reads the file to check."""
        parts = [np.frombuffer(_bytes_of(one), np.uint8) for one in sequences]
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts], dtype=np.int64)]).astype(np.int64)
        letters = np.concatenate(parts) if parts else np.empty(0, np.uint8)
        return cls(UPPER[letters], offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        return self.letters[self.offsets[row] : self.offsets[row + 1]].tobytes().decode("ascii")

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    @cached_property
    def lengths(self) -> Offsets:
        """int64 [n], bases."""
        return np.diff(self.offsets)

    @classmethod
    def gather(cls, letters: Bytes, starts: Offsets, lengths: Offsets) -> "SequenceArray":
        """Of `letters` as they are, `lengths` of them from each of `starts` on."""
        offsets = np.zeros(len(starts) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return cls(letters[places], offsets)

    def take(self, rows: "NDArray[Any]") -> "SequenceArray":
        return self.gather(self.letters, self.offsets[:-1][rows], self.lengths[rows])

    def blocks(self, letters: int) -> Iterator[range]:
        """Consecutive rows that have so many letters together, or one row that has more."""
        start = 0
        while start < len(self):
            stop = int(np.searchsorted(self.offsets, self.offsets[start] + letters, "right")) - 1
            stop = min(max(stop, start + 1), len(self))
            yield range(start, stop)
            start = stop

    def rows(self, part: range) -> "SequenceArray":
        """Consecutive ones, whose letters are not copied."""
        offsets = self.offsets[part.start : part.stop + 1]
        return SequenceArray(self.letters[offsets[0] : offsets[-1]], offsets - offsets[0])

    def cut(self, most: int) -> "SequenceArray":
        """Of each at most its first `most` bases."""
        if not len(self) or self.lengths.max() <= most:
            return self
        return self.gather(self.letters, self.offsets[:-1], np.minimum(self.lengths, most))

    def reverse_complement(self, rows: "NDArray[np.bool_] | None" = None) -> "SequenceArray":
        """Of all, or of those where `rows` [n] is true."""
        lengths, starts = self.lengths, self.offsets[:-1]
        places = np.arange(len(self.letters))
        mirrored = np.repeat(2 * starts + lengths - 1, lengths) - places
        if rows is None:
            return SequenceArray(COMPLEMENT[self.letters[mirrored]], self.offsets)
        turned = np.repeat(rows, lengths)
        letters = self.letters.copy()
        letters[turned] = COMPLEMENT[self.letters[mirrored[turned]]]
        return SequenceArray(letters, self.offsets)

    def digests(self) -> list[bytes]:
        """16 bytes for each sequence; equal ones have the same."""
        bounds = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        data = self.letters.tobytes()
        return [hashlib.blake2b(data[start:end], digest_size=16).digest() for start, end in bounds]

    def digest(self) -> str:
        """sha256 of all of them in their order."""
        found = hashlib.sha256(self.offsets.tobytes())
        found.update(self.letters.tobytes())
        return found.hexdigest()


def _bytes_of(one: "str | bytes | Bytes") -> bytes:
    if isinstance(one, str):
        return one.encode("ascii", "replace")
    return bytes(one)


def join(parts: Iterable[SequenceArray]) -> SequenceArray:
    """One after the other."""
    parts = list(parts)
    lengths = np.concatenate([part.lengths for part in parts]) if parts else np.empty(0, np.int64)
    letters = np.concatenate([part.letters for part in parts]) if parts else np.empty(0, np.uint8)
    return SequenceArray(letters, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
