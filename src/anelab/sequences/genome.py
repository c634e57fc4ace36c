"""Contigs of a FASTA file as codes, and windows around positions of either strand."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.sequences.fasta import read_records
from anelab.sequences.nucleotides import PAD_CODE, Bytes, encode_bases
from anelab.sequences.streams import Source

COMPLEMENT = np.array([0, 0, 0, 0, 7, 6, 5, 4, 8], np.uint8)
"""Of codes of nucleotides: A and T, C and G change places, all else stays."""


@dataclass(frozen=True)
class Genome:
    """Codes of each contig, uint8 [bases] (sequences/nucleotides.py): A 4, C 5, G 6, T 7, other letters 8."""

    contigs: dict[str, Bytes]

    def windows(self, contig: str, positions: NDArray[np.integer[Any]], strand: int, width: int) -> Bytes:
        """Uint8 [n, width]: around positions, from 1 on the forward strand, read on `strand` (1 or -1). What lies
        beyond an end is 0. An even width has one base more after the position than before. Raises AnelabError for a
        position that the contig does not have."""
        bases = self.contigs[contig]
        positions = np.asarray(positions, np.int64)
        if not positions.size:
            return np.empty((0, width), np.uint8)
        if not (positions.min() >= 1 and positions.max() <= bases.size):
            wrong = positions[(positions < 1) | (positions > bases.size)][0]
            raise AnelabError(f"{contig} has {bases.size:,} bases, but position {wrong:,} is asked for")
        before = (width - 1) // 2
        if strand < 0:
            before = width - 1 - before
        first = int(positions.min()) - before
        bases = self.stretch(contig, first, int(positions.max()) - before + width - 1)
        found = sliding_window_view(bases, width)[positions - before - first]
        return reverse_complement(found) if strand < 0 else found

    def stretch(self, contig: str, first: int, last: int) -> Bytes:
        """Uint8 [last - first + 1], on the forward strand, from 1 with both ends; beyond the contig's ends 0."""
        bases = self.contigs[contig]
        inside = bases[max(first - 1, 0) : max(last, 0)]
        ends = [np.full(max(size, 0), PAD_CODE, np.uint8) for size in (1 - first, last - max(bases.size, first - 1))]
        return np.concatenate([ends[0], inside, ends[1]])[: last - first + 1] if any(map(len, ends)) else inside


def reverse_complement(codes: Bytes) -> Bytes:
    """Of rows of codes, uint8 [..., width]."""
    return COMPLEMENT[codes[..., ::-1]]


def read_contigs(source: Source, wanted: Collection[str] | None = None) -> Iterator[tuple[str, Bytes]]:
    """Name and codes of one contig after another: of all, or of those of `wanted` that are there. Raises AnelabError as
    `read_records` does, and if a name comes twice."""
    for record in read_records(source, unique_names=True):
        if wanted is None or record.name in wanted:
            yield record.name, encode_bases(record.sequence[None, :])[0]


def read_genome(source: Source, wanted: Collection[str] | None = None) -> Genome:
    """All of them at once, a byte a base."""
    return Genome(dict(read_contigs(source, wanted)))
