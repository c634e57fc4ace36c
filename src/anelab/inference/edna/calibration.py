"""What references that are left out teach: how sure each rank is, and how the unknown looks. They are left out whole,
and as stretches as short as those that surveys sequence: the shorter a query, the less it tells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.inference.edna.calibrator import Calibrator
from anelab.inference.edna.features import NOVELTY_RANKS, Hidden, Values, match_features, target_features
from anelab.inference.edna.index import Calibration
from anelab.inference.edna.neighbours import Neighbours, Points, Rows, find_neighbours
from anelab.learning.metrics import roc_auc
from anelab.sequences.taxonomy import FAMILY, GENUS, RANKS, SPECIES, Taxonomy

CALLED = 0.95
UNKNOWN = 0.2
"""How heavy a reference is whose taxon is not there, beside one whose taxon is: most queries are of known taxa."""
FRAGMENTS = (100, 170, 300, 401)
"""Bases: bounds of the lengths of stretches. Those of MiFish have about 170; below 300 every method tells less."""
LIKELY = 0.5
"""A chance that is more likely than not."""


@dataclass(frozen=True)
class Sample:
    """References that are left out: `rows`, int [n], of which each is the whole or a stretch; `bases`, int [n], of it;
    `is_whole`, bool [n]; and the points of them."""

    rows: Rows
    bases: Rows
    is_whole: NDArray[np.bool_]
    points: Points


class _LeaveOut:
    """The neighbours of a sample with something left out: themselves (-1), or all that share their taxon of a rank.
    Each is searched once."""

    def __init__(self, points: Points, taxonomy: Taxonomy, reference_neighbours: Neighbours, sample: Sample) -> None:
        self.points, self.taxonomy = points, taxonomy
        self.reference_neighbours = reference_neighbours
        self.rows, self.sample = sample.rows, sample.points
        genus = taxonomy.codes[sample.rows, GENUS]
        self.fold = np.where(genus >= 0, genus, sample.rows) % 2
        self._found: dict[int, Neighbours] = {}

    def neighbours(self, rank: int) -> Neighbours:
        if rank not in self._found:
            codes = self.taxonomy.codes[:, rank].astype(np.int64) if rank >= 0 else np.full(len(self.taxonomy), -1)
            alone = len(self.taxonomy) + np.arange(len(codes))  # what has no name hides itself only
            codes = np.where(codes >= 0, codes, alone)
            self._found[rank] = find_neighbours(self.sample, self.points, codes[self.rows], codes)
        return self._found[rank]

    def features(self, rank: int, left: int) -> Values:
        """At a rank, with `left` left out."""
        codes = self.taxonomy.codes[:, left][self.rows] if left >= 0 else np.full(len(self.rows), -1)
        hidden = Hidden(self.rows, self.taxonomy.codes[:, left] if left >= 0 else None, codes)
        return match_features(
            self.neighbours(left),
            self.reference_neighbours,
            self.taxonomy.codes[:, rank],
            self.sample.sets.sizes,
            hidden,
        )

    def has_others(self, rank: int) -> NDArray[np.bool_]:
        """Whether another reference is of its taxon."""
        codes = self.taxonomy.codes[:, rank]
        sizes = np.bincount(codes[codes >= 0], minlength=int(codes.max(initial=0)) + 1)
        own = codes[self.rows]
        answer: NDArray[np.bool_] = (own >= 0) & (sizes[own] > 1)
        return answer

    def is_right(self, rank: int, left: int) -> NDArray[np.bool_]:
        codes, found = self.taxonomy.codes[:, rank], self.neighbours(left)
        nearest = np.where(found.rows[:, 0] >= 0, codes[np.maximum(found.rows[:, 0], 0)], -2)
        answer: NDArray[np.bool_] = nearest == codes[self.rows]
        return answer


def calibrate(
    points: Points,
    taxonomy: Taxonomy,
    reference_neighbours: Neighbours,
    sample: Sample,
    backwards: Points,
    on_progress: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """`backwards`: some of the sample read from end to start, not complemented, which are like nothing. For figures
    and threshold each reference is judged by calibrators that were fitted on other genera, half of all."""
    left = _LeaveOut(points, taxonomy, reference_neighbours, sample)
    ranks, chances = [], []
    for rank in range(len(RANKS)):
        on_progress(RANKS[rank])
        calibrator, chance = _of_rank(left, rank)
        ranks.append(calibrator)
        chances.append(chance)
    novelty, chance, figures = _novelty(left, sample)
    genus, several = np.min(chances[: GENUS + 1], axis=0), left.has_others(GENUS)
    genus[several] = np.minimum(genus[several], genus_probability(chance))
    known = several & sample.is_whole
    least = float(np.quantile(genus[known], 1 - CALLED)) if known.any() else LIKELY
    called = known & (genus >= least)
    figures["left-out references called to genus"] = round(float(called.sum() / max(known.sum(), 1)), 4)
    figures["of these right"] = round(float(left.is_right(GENUS, -1)[called].mean()), 4) if called.any() else 0.0
    return Calibration(tuple(ranks), novelty, _on_target(left, backwards), least, figures)


def _on_target(left: _LeaveOut, backwards: Points) -> Calibrator:
    """The chance that a sequence is of this marker: references without their family against what is none."""
    has_families = bool((left.taxonomy.codes[:, FAMILY] >= 0).any())
    theirs = left.neighbours(FAMILY if has_families else -1)
    references, k = left.points.sets.sizes, left.points.sets.k
    parts = [
        target_features(theirs, left.sample.sets.sizes, references, k),
        target_features(find_neighbours(backwards, left.points), backwards.sets.sizes, references, k),
    ]
    truth = np.repeat([True, False], [len(part) for part in parts])
    weight = np.concatenate([np.full(len(part), 1 / max(len(part), 1)) for part in parts]) * len(truth) / 2
    return Calibrator.fit(np.concatenate(parts), truth, weight)


def _of_rank(left: _LeaveOut, rank: int) -> tuple[Calibrator, Values]:
    """Of references whose taxon is known: themselves left out, or the taxon below, or this one. And the chance, float
    [sample], for each that is left out by itself; 1 where its taxon is not known."""
    rows = np.flatnonzero(left.taxonomy.codes[left.rows, rank] >= 0)
    values, truths, weights = [], [], []
    for hidden in (-1, *([rank + 1] if rank < SPECIES else []), rank):
        values.append(left.features(rank, hidden)[rows])
        truths.append(left.is_right(rank, hidden)[rows])
        weights.append(np.full(len(rows), 1.0 if hidden < 0 else UNKNOWN))
    fold = np.tile(left.fold[rows], len(values))
    fitted, found = Calibrator.cross_fit(np.concatenate(values), np.concatenate(truths), np.concatenate(weights), fold)
    chance = np.ones(len(left.rows))
    chance[rows] = found[: len(rows)]
    return fitted, chance


def _novelty(left: _LeaveOut, sample: Sample) -> tuple[Calibrator, Values, dict[str, Any]]:
    """Known: genera of which other references remain; novel: the same without their genus. And the chance, float
    [known], of the former."""
    rows = np.flatnonzero(left.taxonomy.codes[left.rows, GENUS] >= 0)
    several = np.flatnonzero(left.has_others(GENUS))
    there, gone = ({rank: left.features(rank, hidden) for rank in NOVELTY_RANKS} for hidden in (-1, GENUS))
    both = np.concatenate([novelty_features(there)[several], novelty_features(gone)[rows]])
    truth, which = np.repeat([False, True], [len(several), len(rows)]), np.concatenate([several, rows])
    weight = np.where(truth, 1 / max(len(rows), 1), 1 / max(len(several), 1)) * len(truth) / 2
    fitted, chance = Calibrator.cross_fit(both, truth, weight, left.fold[which])
    bases, is_whole = sample.bases[which], sample.is_whole[which]
    parts = {"whole": is_whole} | {
        f"{low} to {high - 1} bases": ~is_whole & (bases >= low) & (bases < high) for low, high in pairwise(FRAGMENTS)
    }
    both_kinds = {name: part for name, part in parts.items() if truth[part].any() and not truth[part].all()}
    figures = {
        "novelty AUROC on left-out references": {
            name: round(roc_auc(chance[part], truth[part]), 4) for name, part in both_kinds.items()
        },
        "sampled references": int(sample.is_whole.sum()),
    }
    return fitted, chance[: len(several)], figures


def genus_probability(novelty: Values) -> Values:
    """That the genus is among the references, where novel queries weigh UNKNOWN beside known ones."""
    return (1 - novelty) / (1 - novelty + UNKNOWN * novelty)


def novelty_features(features: Mapping[int, Values] | Sequence[Values]) -> Values:
    """[n, numbers]: what family, genus and species tell, of features by rank."""
    return np.concatenate([features[rank] for rank in NOVELTY_RANKS], axis=1)


def confidences(ranks: Sequence[Calibrator], features: Sequence[Values]) -> Values:
    """[n, 7]: the chance that each rank is right; no rank is surer than the one above it."""
    found = np.stack([calibrator(values) for calibrator, values in zip(ranks, features, strict=True)], axis=1)
    return np.minimum.accumulate(found, axis=1)
