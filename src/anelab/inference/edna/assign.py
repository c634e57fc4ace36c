"""Taxa of queries by the nearest references of an index: a row for each, in the order of the input."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.inference.edna.build import points_of
from anelab.inference.edna.calibration import LIKELY, confidences, genus_probability, novelty_features
from anelab.inference.edna.features import match_features, target_features
from anelab.inference.edna.index import Index
from anelab.inference.edna.neighbours import LEAST_KMERS, MOST_CELLS, Neighbours, Points, Rows, find_neighbours
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.records import Records
from anelab.sequences.taxonomy import GENUS, RANKS, SPECIES

COLUMNS = ("query", *RANKS, "confidence", "nearest", "similarity", "ties", "novelty", "verdict")
CALLED, NOVEL, AMBIGUOUS, SHORT, OFF_TARGET = VERDICTS = ("called", "novel", "ambiguous", "too short", "off-target")
TIE = 1e-6
"""References that share a k-mer less than this below what the nearest shares are as near."""


@dataclass(frozen=True)
class Assigned:
    """Of n queries: `taxa`, texts [n, 7]; `confidence`, that of the lowest rank that has a name, 0 without any;
    `nearest`, the name of a reference; `similarity`, the share of 8-mers that it has in common with the query; `ties`,
    the species that are as near, with ';' between them; `novelty`, the chance that the genus is none of the
    references', where that is so for half of the queries; `verdict`, one of VERDICTS."""

    queries: list[str]
    taxa: list[tuple[str, ...]]
    confidence: NDArray[np.float64]
    nearest: list[str]
    similarity: NDArray[np.float32]
    ties: list[str]
    novelty: NDArray[np.float64]
    verdict: list[str]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """As texts, in the order of COLUMNS."""
        figures = zip(self.confidence.tolist(), self.similarity.tolist(), self.novelty.tolist(), strict=True)
        texts = [(f"{one:.4f}", f"{two:.4f}", f"{three:.4f}") for one, two, three in figures]
        parts = (self.queries, self.taxa, self.nearest, self.ties, self.verdict, texts)
        for query, taxa, nearest, ties, verdict, (confidence, similarity, novelty) in zip(*parts, strict=True):
            yield query, *taxa, confidence, nearest, similarity, ties, novelty, verdict


def assign_all(index: Index, blocks: Iterable[Records], min_confidence: float | None = None) -> Iterator[Assigned]:
    for block in blocks:
        yield assign(index, block.names, block.sequences, min_confidence)


def assign(index: Index, names: list[str], sequences: SequenceArray, min_confidence: float | None = None) -> Assigned:
    """`min_confidence`: ranks that are less sure are left empty; 0 empties nothing; None is the index's own, but for
    species no less than LIKELY."""
    return assign_points(index, names, points_of(index.vectors, sequences), min_confidence)


def assign_points(index: Index, names: list[str], points: Points, min_confidence: float | None = None) -> Assigned:
    """Of sequences that are points already."""
    least = np.full(len(RANKS), index.calibration.min_confidence if min_confidence is None else min_confidence)
    if min_confidence is None:
        least[SPECIES] = max(least[SPECIES], LIKELY)
    found = find_neighbours(points, index.points)
    sizes = points.sets.sizes
    features = [match_features(found, index.reference_neighbours, codes, sizes) for codes in index.taxonomy.codes.T]
    chances = confidences(index.calibration.ranks, features)
    novelty = index.calibration.novelty(novelty_features(features))
    chances[:, GENUS:] = np.minimum(chances[:, GENUS:], genus_probability(novelty)[:, None])
    short = sizes < LEAST_KMERS
    target = target_features(found, sizes, index.points.sets.sizes, points.sets.k)
    off = index.calibration.on_target(target) < LIKELY
    codes, ties = _consensus(index, points, found, short)
    codes = np.where((chances >= least) & ~(short | off)[:, None], codes, -1)
    named = codes >= 0
    lowest = np.where(named.any(axis=1), len(RANKS) - 1 - named[:, ::-1].argmax(axis=1), -1)
    confidence = np.where(lowest >= 0, chances[np.arange(len(chances)), np.maximum(lowest, 0)], 0.0)
    confidence[short | off] = 0.0
    is_novel = (chances[:, GENUS] < index.calibration.min_confidence) & (novelty > LIKELY)
    verdict = np.select(
        [short, off, is_novel, (lowest >= GENUS) & (np.array([";" not in one for one in ties]))],
        [SHORT, OFF_TARGET, NOVEL, CALLED],
        AMBIGUOUS,
    ).tolist()
    rows = np.where(short, -1, found.rows[:, 0])
    nearest = [index.names[row] if row >= 0 else "" for row in rows.tolist()]
    taxa = [tuple(index.taxonomy.name(rank, code) for rank, code in enumerate(line)) for line in codes.tolist()]
    similarity = np.where(short, 0, np.maximum(found.containment[:, 0], 0))
    return Assigned(names, taxa, confidence, nearest, similarity, ties, np.where(short, 0, novelty), verdict)


def _consensus(
    index: Index, points: Points, found: Neighbours, short: NDArray[np.bool_]
) -> tuple[NDArray[Any], list[str]]:
    """Codes of each rank, [n, 7], on which all references that are as near as the nearest agree, as far as they have a
    name there, -1 where they do not, nor below that; and the species of these references."""
    tied = (found.rows >= 0) & (found.containment >= found.containment[:, :1] - TIE) & ~short[:, None]
    more = _beyond_shortlist(index, points, found, np.flatnonzero(tied.all(axis=1)))
    codes, names = np.full((len(tied), len(RANKS)), -1), []
    for row, ties in enumerate(tied):
        theirs = index.taxonomy.codes[more.get(row, found.rows[row, ties])]
        codes[row] = _agreed(theirs)
        species = {index.taxonomy.name(SPECIES, code) for code in set(theirs[:, SPECIES].tolist())}
        names.append(";".join(sorted(species - {""})))
    return codes, names


def _beyond_shortlist(index: Index, points: Points, found: Neighbours, rows: Rows) -> dict[int, Rows]:
    """All references that are as near as the nearest, of queries whose whole shortlist is."""
    ties, together = dict[int, Rows](), max(MOST_CELLS // len(index), 1)
    for start in range(0, len(rows), together):
        part = rows[start : start + together]
        queries = points.sets.take(part)
        smaller = np.minimum(queries.sizes[:, None], index.points.sets.sizes)
        shares = queries.shared_with_all(index.points.sets) / np.maximum(smaller, 1)
        least = found.containment[part, :1] - TIE
        ties |= {int(row): np.flatnonzero(line) for row, line in zip(part, shares >= least, strict=True)}
    return ties


def _agreed(codes: NDArray[Any]) -> NDArray[Any]:
    """Of the taxa of some references, [m, 7], those that all have that have one, down to the first that differ."""
    found = np.full(codes.shape[1], -1)
    for rank, column in enumerate(codes.T):
        known = set(column[column >= 0].tolist())
        if len(known) > 1:
            break
        found[rank] = known.pop() if known else -1
    return found
