"""What a set of reads is like before and after it was filtered: lengths, quality by cycle, verdicts by length."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.fastq import Integers
from anelab.sequences.phred import Reads
from anelab.workloads.read_quality.encode import PAD_SCORE, WIDTH

EDGES: Integers = np.array(
    sorted({*range(WIDTH + 1), *range(WIDTH, 1001, 10), *np.geomspace(1000, 1e8, 101).round(-1).tolist()}), np.int64
)
"""Borders of bins of lengths and of cycles, both from 0: one a base up to WIDTH, ten bases up to 1,000, then wider."""
BINS = len(EDGES) - 1
BEFORE, AFTER = 0, 1


def _zeros() -> Integers:
    return np.zeros((2, BINS + 1), np.int64)


@dataclass
class ReadStatistics:
    """Of the reads of one file, or of one kind of mates: all of them (BEFORE), and those that are kept (AFTER), which
    of pairs are those whose mates both pass.

    `reads`, int64 [2, bins + 1], counts reads by length; the last bin has those of no bases. `bases` and `scores`
    are the number of bases and the sum of their Phred scores by cycle. `passing` counts reads by their own verdict."""

    name: str
    file: str
    passing: int = 0
    reads: Integers = field(default_factory=_zeros)
    bases: Integers = field(default_factory=_zeros)
    scores: Integers = field(default_factory=_zeros)

    def add(self, reads: Reads, passes: NDArray[np.bool_], kept: NDArray[np.bool_]) -> None:
        """Reads with their own verdicts, and whether they are kept, [n]."""
        self.passing += int(passes.sum())
        for which, rows in ((BEFORE, slice(None)), (AFTER, np.flatnonzero(kept))):
            some = reads.take(rows)
            self._count_lengths(which, some.block.lengths)
            self._add_first_bases(which, some)
            self._add_further_bases(which, some)

    def _count_lengths(self, which: int, lengths: Integers) -> None:
        places = np.where(lengths > 0, _bin_of(lengths - 1), BINS)
        self.reads[which] += np.bincount(places, minlength=BINS + 1)

    def _add_first_bases(self, which: int, reads: Reads) -> None:
        """Of cycles up to WIDTH, each of which is a bin."""
        counts = np.bincount(np.minimum(reads.block.lengths, WIDTH), minlength=WIDTH + 1)
        bases = len(reads) - np.cumsum(counts)[:WIDTH]
        self.bases[which, :WIDTH] += bases
        scores = reads.raw[:, WIDTH:].sum(axis=0, dtype=np.int64)
        self.scores[which, :WIDTH] += scores - PAD_SCORE * (len(reads) - bases)

    def _add_further_bases(self, which: int, reads: Reads) -> None:
        block = reads.block
        for row in np.flatnonzero(block.lengths > WIDTH).tolist():
            start, stop = int(block.starts[row, 3]) + WIDTH, int(block.stops[row, 3])
            scores = block.text[start:stop].astype(np.int64) - reads.offset
            borders = EDGES[WIDTH : np.searchsorted(EDGES, WIDTH + len(scores))] - WIDTH
            places = slice(WIDTH, WIDTH + len(borders))
            self.scores[which, places] += np.add.reduceat(scores, borders)
            self.bases[which, places] += np.diff(borders, append=len(scores))

    def as_json(self) -> dict[str, Any]:
        """Counts, and for each bin that has any: its first and last length or cycle, counted from 1, and figures."""
        total, kept = (int(count) for count in self.reads.sum(axis=1))
        bases, kept_bases = (int(count) for count in self.bases.sum(axis=1))
        return {
            "name": self.name,
            "file": self.file,
            "reads": total,
            "pass": self.passing,
            "fail": total - self.passing,
            "kept": kept,
            "bases": bases,
            "kept_bases": kept_bases,
            "by_length": self.by_length(),
            "by_cycle": self.by_cycle(),
        }

    def by_length(self) -> list[dict[str, int]]:
        """Reads and kept reads by length; `from` and `to` are 0 for reads of no bases."""
        order = [BINS, *range(BINS)]
        return [
            {**_bounds(place), "reads": int(self.reads[BEFORE, place]), "kept": int(self.reads[AFTER, place])}
            for place in order
            if self.reads[BEFORE, place]
        ]

    def by_cycle(self) -> list[dict[str, float | int | None]]:
        """The mean Phred score of all reads' bases, and of kept reads' (None where there is none)."""
        return [
            {
                **_bounds(place),
                "bases": int(self.bases[BEFORE, place]),
                "kept_bases": int(self.bases[AFTER, place]),
                "mean_quality": _mean(self.scores[BEFORE, place], self.bases[BEFORE, place]),
                "kept_mean_quality": _mean(self.scores[AFTER, place], self.bases[AFTER, place]),
            }
            for place in range(BINS)
            if self.bases[BEFORE, place]
        ]


def _bin_of(places: Integers) -> Integers:
    """Of positions from 0."""
    found: Integers = np.searchsorted(EDGES, places, side="right") - 1
    return found


def _bounds(place: int) -> dict[str, int]:
    """From 1, both included."""
    return {"from": 0, "to": 0} if place == BINS else {"from": int(EDGES[place]) + 1, "to": int(EDGES[place + 1])}


def _mean(total: Any, count: Any) -> float | None:
    return round(float(total) / int(count), 4) if count else None
