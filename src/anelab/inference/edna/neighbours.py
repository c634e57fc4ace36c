"""The nearest references of sequences: a shortlist by the product of vectors, re-ranked by shared k-mers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.inference.edna.approximate import Search, approximate_search
from anelab.inference.edna.embed import Embeddings
from anelab.sequences.profiles import KmerSets

SHORTLIST = 40
"""Of 20 on fish 12S the species is right for 0.01 of the queries less."""
K = 8
COSINE_WEIGHT = 0.1
"""Of the cosine beside the containment: it decides among references that have all k-mers of a short query."""
LEAST_KMERS = 40
"""Different ones, that a query and a reference need."""
MOST_ROWS, MOST_CELLS = 256, 1 << 24
"""Queries at once, and queries times references."""
DIGITS = 5
"""Of a score: the rest depends on which queries are computed together."""

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Points:
    """Sequences as they are compared: vectors of length 1, float32 [n, d], and their sets of k-mers. `search`: how
    those that are near are found among very many; None: by comparing with each."""

    vectors: Embeddings
    sets: KmerSets
    search: Search | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def searchable(self) -> "Points":
        """With a search that is quick for so many."""
        return replace(self, search=approximate_search(self.vectors))


@dataclass(frozen=True)
class Neighbours:
    """Of n sequences m references each, the nearest first: `rows` int [n, m]; `score` float32 [n, m], the containment
    plus a tenth of the cosine; `cosine` and `containment` float32 [n, m]. A place without a reference has row -1,
    and score and containment -1."""

    rows: Rows
    score: Scores
    cosine: Scores
    containment: Scores

    def take(self, rows: "NDArray[Any]") -> "Neighbours":
        return Neighbours(self.rows[rows], self.score[rows], self.cosine[rows], self.containment[rows])


def find_neighbours(
    queries: Points, references: Points, hidden: "NDArray[Any] | None" = None, codes: "NDArray[Any] | None" = None
) -> Neighbours:
    """`hidden` and `codes`, integers [queries] and [references]: references whose code is the query's are not there;
    then each is compared with."""
    most = min(SHORTLIST, len(references))
    if references.search is not None and hidden is None:
        rows, cosine = references.search(queries.vectors, most)
    else:
        rows, cosine = exact_shortlist(queries.vectors, references.vectors, most, hidden, codes)
    return _ranked(queries, references, rows, cosine)


def find_others(points: Points) -> Neighbours:
    """The neighbours of each but itself."""
    itself = np.arange(len(points))
    if points.search is None:
        return find_neighbours(points, points, itself, itself)
    most = min(SHORTLIST, len(points))
    rows, cosine = points.search(points.vectors, most + 1)
    cosine[rows == itself[:, None]] = -2
    last = np.argsort(-cosine, axis=1, kind="stable")[:, :most]
    return _ranked(points, points, np.take_along_axis(rows, last, 1), np.take_along_axis(cosine, last, 1))


def exact_shortlist(
    queries: Embeddings,
    references: Embeddings,
    most: int,
    hidden: "NDArray[Any] | None" = None,
    codes: "NDArray[Any] | None" = None,
) -> tuple[Rows, Scores]:
    """Of each query the `most` references of the largest products, [n, most], in any order, and these products."""
    rows, cosine = np.empty((len(queries), most), np.int64), np.empty((len(queries), most), np.float32)
    together = max(min(MOST_ROWS, MOST_CELLS // max(len(references), 1)), 1)
    for start in range(0, len(queries), together):
        part = slice(start, start + together)
        scores = queries[part] @ references.T
        if hidden is not None and codes is not None:
            scores[hidden[part, None] == codes[None, :]] = -2
        rows[part] = np.argpartition(scores, len(references) - most, axis=1)[:, len(references) - most :]
        cosine[part] = np.take_along_axis(scores, rows[part], axis=1)
    return rows, cosine


def _ranked(queries: Points, references: Points, rows: Rows, cosine: Scores) -> Neighbours:
    """By shared k-mers; where the cosine is -2 there is no reference."""
    there = cosine > -2
    containment = np.where(there, queries.sets.containment(references.sets, np.maximum(rows, 0)), np.float32(-1))
    score = np.where(there, np.round(containment + COSINE_WEIGHT * cosine, DIGITS), np.float32(-1))
    rows = np.where(there, rows, -1)
    order = np.lexsort((rows, -score), axis=1)
    parts = (rows, score, cosine, containment)
    return Neighbours(*(np.take_along_axis(values, order, axis=1) for values in parts))
