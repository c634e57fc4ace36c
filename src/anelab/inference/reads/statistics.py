"""What a set of reads is like before and after it was filtered: lengths, quality by cycle, verdicts by length."""

import math
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


KEPT = (50, 80, 90)
"""Per cent of reads."""
REACH, STEP = 16.0, 0.01
"""Log-odds of probabilities that are counted, and the width of a bin."""


@dataclass
class ProbabilityCounts:
    """How many reads have which probability, by its log-odds: which threshold keeps how many."""

    counts: Integers = field(default_factory=lambda: np.zeros(round(2 * REACH / STEP), np.int64))

    def add(self, probability: NDArray[np.floating[Any]]) -> None:
        """NaN is left out."""
        inside = np.clip(probability[~np.isnan(probability)].astype(np.float64), 1e-9, 1 - 1e-9)
        places = (np.log(inside / (1 - inside)) + REACH) / STEP
        self.counts += np.bincount(places.clip(0, len(self.counts) - 1).astype(np.int64), minlength=len(self.counts))

    def threshold(self, percent: int) -> float:
        """The largest, to two digits, that keeps at least so many reads. 0 if there are none."""
        if not self.counts.sum():
            return 0.0
        kept = np.cumsum(self.counts[::-1])[::-1]
        place = np.flatnonzero(kept >= percent / 100 * kept[0])[-1]
        odds = math.exp(float(place) * STEP - REACH)
        exact = odds / (1 + odds)
        digits = float(10 ** (1 - math.floor(math.log10(exact))))
        return math.floor(exact * digits) / digits


@dataclass
class ReadStatistics:
    """Of the reads of one file, or of one kind of mates: all of them (BEFORE), and those that are kept (AFTER), which
    of pairs are those whose mates both pass.

    `reads`, int64 [2, bins + 1], counts reads by length; the last bin has those of no bases. `bases` and `scores`
    are the number of bases and the sum of their Phred scores by cycle. `passing` counts reads by their own verdict."""

    name: str
    file: str
    offset: int = 0
    """Of the quality characters, 33 or 64; 0 as long as there are no reads."""
    shortest: int = 0
    longest: int = 0
    """Bases; 0 if there are no reads."""
    passing: int = 0
    reads: Integers = field(default_factory=_zeros)
    bases: Integers = field(default_factory=_zeros)
    scores: Integers = field(default_factory=_zeros)

    def add(self, reads: Reads, passes: NDArray[np.bool_], kept: NDArray[np.bool_]) -> None:
        """Reads with their own verdicts, and whether they are kept, [n]."""
        lengths = reads.block.lengths
        self.shortest = min(int(lengths.min(initial=1 << 60)), self.shortest if self.offset else 1 << 60)
        self.longest, self.offset = max(int(lengths.max(initial=0)), self.longest), reads.offset
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
            "offset": self.offset,
            "shortest": self.shortest,
            "longest": self.longest,
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
            {**self._bounds(place), "reads": int(self.reads[BEFORE, place]), "kept": int(self.reads[AFTER, place])}
            for place in order
            if self.reads[BEFORE, place]
        ]

    def by_cycle(self) -> list[dict[str, float | int | None]]:
        """The mean Phred score of all reads' bases, and of kept reads' (None where there is none)."""
        return [
            {
                **self._bounds(place),
                "bases": int(self.bases[BEFORE, place]),
                "kept_bases": int(self.bases[AFTER, place]),
                "mean_quality": _mean(self.scores[BEFORE, place], self.bases[BEFORE, place]),
                "kept_mean_quality": _mean(self.scores[AFTER, place], self.bases[AFTER, place]),
            }
            for place in range(BINS)
            if self.bases[BEFORE, place]
        ]

    def _bounds(self, place: int) -> dict[str, int]:
        """From 1, both included; the last bin ends with the longest read."""
        if place == BINS:
            return {"from": 0, "to": 0}
        return {"from": int(EDGES[place]) + 1, "to": min(int(EDGES[place + 1]), self.longest)}


def _bin_of(places: Integers) -> Integers:
    """Of positions from 0."""
    found: Integers = np.searchsorted(EDGES, places, side="right") - 1
    return found


def _mean(total: Any, count: Any) -> float | None:
    return round(float(total) / int(count), 4) if count else None
