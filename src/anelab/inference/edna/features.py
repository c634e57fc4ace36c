"""What the neighbours of a sequence tell of its taxon: numbers that a calibrator learns from.

To be of a genus is to be nearer to a reference than references of other genera are to each other. So beside the query's
own similarities stand those of its nearest reference: to the nearest reference of its own taxon, and of another.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.inference.edna.neighbours import Neighbours, Rows, Scores
from anelab.sequences.kmers import canonical_ranks
from anelab.sequences.taxonomy import FAMILY, GENUS, SPECIES

NEAR = 0.02
"""References whose score is less than this below the best are counted as near."""
TARGET_FEATURES = ("beyond chance", "size")
FEATURES = ("best", "cosine", "gap", "share", "own", "other", "margin", "size", "taxa")
NOVELTY_RANKS = (FAMILY, GENUS, SPECIES)
"""Whose numbers together tell whether a genus is new."""
NOVELTY_FEATURES = len(NOVELTY_RANKS) * len(FEATURES)
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Hidden:
    """What is left out, to see what would be found without it, of queries that are references themselves: `itself`, int
    [n], the query's own row; and the references whose `codes`, int [references], if any, is the query's in `own`, int
    [n]; below 0 nothing is."""

    itself: Rows
    codes: "NDArray[Any] | None"
    own: "NDArray[Any]"


def match_features(
    found: Neighbours, reference_neighbours: Neighbours, codes: NDArray[Any], sizes: Rows, hidden: Hidden | None = None
) -> Values:
    """Float [n, FEATURES] for one rank. `found`: of the queries; `reference_neighbours`: of each reference, itself left
    out; `codes`, int [references]: the taxon of each at this rank; `sizes`, int [n]: k-mers of each query."""
    nearest = np.maximum(found.rows[:, 0], 0)
    taxon = codes[nearest]
    alike = (_codes_of(found.rows, codes) == taxon[:, None]) & (taxon >= 0)[:, None]
    there = found.rows >= 0
    lowest = np.where(there, found.score, np.inf).min(axis=1)
    runner_up = np.where(there & ~alike, found.score, -np.inf).max(axis=1)
    runner_up = np.where(np.isfinite(runner_up), runner_up, np.where(np.isfinite(lowest), lowest, -1))
    near = there & (found.score >= found.score[:, :1] - NEAR)
    own, other = _around(reference_neighbours.take(nearest), codes, taxon, hidden)
    best = found.score[:, 0].astype(np.float64)
    return np.stack(
        [
            best,
            found.cosine[:, 0],
            best - runner_up,
            (near & alike).sum(axis=1) / np.maximum(near.sum(axis=1), 1),
            np.where(own >= 0, best - own, 0),
            best - other,
            own - other,
            np.log2(np.maximum(sizes, 1)),
            _distinct(found, codes),
        ],
        axis=1,
    )


def _codes_of(rows: Rows, codes: NDArray[Any]) -> NDArray[Any]:
    return np.where(rows >= 0, codes[np.maximum(rows, 0)], -2)


def _around(
    around: Neighbours, codes: NDArray[Any], taxon: NDArray[Any], hidden: Hidden | None
) -> tuple[Scores, Scores]:
    """Of each nearest reference its similarity to the nearest other one of its taxon, -1 if none is among its
    neighbours, and to the nearest of another taxon, or to the last neighbour, if all are of its own."""
    theirs = _codes_of(around.rows, codes)
    there = around.rows >= 0
    if hidden is not None:
        there &= around.rows != hidden.itself[:, None]
        if hidden.codes is not None:
            there &= (_codes_of(around.rows, hidden.codes) != hidden.own[:, None]) | (hidden.own < 0)[:, None]
    same = there & (theirs == taxon[:, None])
    own = np.where(same, around.score, -1).max(axis=1)
    other = np.where(there & ~same, around.score, -1).max(axis=1)
    last = np.where(there, around.score, np.inf).min(axis=1)
    return own, np.where(other >= 0, other, np.where(np.isfinite(last), last, 0))


def _distinct(found: Neighbours, codes: NDArray[Any]) -> Values:
    """How many taxa are among those that are near."""
    near = (found.rows >= 0) & (found.score >= found.score[:, :1] - NEAR)
    theirs = np.sort(np.where(near, _codes_of(found.rows, codes), -3), axis=1)
    answer: Values = ((np.diff(theirs, axis=1) != 0) & (theirs[:, 1:] > -3)).sum(axis=1) + (theirs[:, 0] > -3).astype(
        np.float64
    )
    return answer


def target_features(found: Neighbours, sizes: Rows, references: Rows, k: int) -> Values:
    """Float [n, TARGET_FEATURES]: whether a query is of this marker at all. A long sequence has many k-mers of any
    other by chance; only what is shared beyond that counts. `sizes`, int [n], and `references`: numbers of k-mers."""
    larger = np.maximum(sizes[:, None], references[np.maximum(found.rows, 0)])
    chance = larger / len(canonical_ranks(k)[1])
    beyond = np.where(found.rows >= 0, found.containment - chance, -1).max(axis=1)
    return np.stack([beyond, np.log2(np.maximum(sizes, 1))], axis=1)
