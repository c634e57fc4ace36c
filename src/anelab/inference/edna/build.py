"""An index of the user's own references, with the vectors that find them best."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anelab.errors import AnelabError
from anelab.inference.edna.calibration import FRAGMENTS, Sample, calibrate
from anelab.inference.edna.clusters import ClusterMap, clustered_rows
from anelab.inference.edna.embed import KmerVectors, Vectors
from anelab.inference.edna.index import Index
from anelab.inference.edna.neighbours import K, Points, find_neighbours, find_others
from anelab.sequences.arrays import SequenceArray, join
from anelab.sequences.profiles import KmerSets
from anelab.sequences.taxonomy import FAMILY, GENUS, RANKS, SPECIES, Lineage, Taxonomy

FEWEST = 20
MOST_COMPARED = 2000
BETTER = 0.002
"""By which k-mer counts must find more species than the embedding, which is quicker."""
CONTROLS = 1000
MOST_SAMPLED, MOST_STRETCHES = 4000, 3000
OnProgress = Callable[[str], None]


def points_of(vectors: Vectors, sequences: SequenceArray) -> Points:
    return Points(vectors(sequences), KmerSets.of(sequences, K))


def build_index(
    names: Sequence[str],
    sequences: SequenceArray,
    lineages: Sequence[Lineage],
    embedder: Vectors | None,
    seed: int = 0,
    on_progress: OnProgress = lambda text: None,
) -> Index:
    """Of distinct sequences with their taxa. Without `embedder` k-mer counts are what is searched by. Raises
    AnelabError for too few references."""
    if len(names) < FEWEST:
        raise AnelabError(f"an index needs at least {FEWEST} references but {len(names)} are there; give more")
    taxonomy, sets = Taxonomy.of(lineages), KmerSets.of(sequences, K)
    on_progress("vectors")
    candidates = [one for one in (embedder, KmerVectors()) if one is not None]
    points = {one.name: Points(one(sequences), sets) for one in candidates}
    chosen, compared = _best(candidates, points, taxonomy, seed)
    on_progress("neighbours")
    references = points[chosen.name].searchable()
    reference_neighbours = find_others(references)
    sample, backwards = sample_of(sequences, chosen, seed)
    calibration = calibrate(references, taxonomy, reference_neighbours, sample, backwards, on_progress)
    on_progress("clusters")
    rows = clustered_rows(len(names), seed)
    clusters = ClusterMap.fit(references.vectors[rows], seed)
    calibration.figures["found by"] = chosen.name
    calibration.figures["left-out references whose nearest has their"] = compared
    calibration.figures.update(clusters.figures(taxonomy.codes[rows, FAMILY]))
    return Index(tuple(names), references, taxonomy, reference_neighbours, calibration, clusters, chosen)


def _best(
    candidates: Sequence[Vectors], points: dict[str, Points], taxonomy: Taxonomy, seed: int
) -> tuple[Vectors, dict[str, Any]]:
    """The first, unless another finds more species of references that are left out, each for itself."""
    rng = np.random.default_rng([seed, 22])
    rows = np.sort(rng.permutation(len(taxonomy))[:MOST_COMPARED])
    itself, found = np.arange(len(taxonomy)), {}
    for one in candidates:
        every = points[one.name]
        near = find_neighbours(Points(every.vectors[rows], every.sets.take(rows)), every, rows, itself)
        shares = {}
        for rank in (SPECIES, GENUS):
            codes = taxonomy.codes[:, rank]
            several = np.bincount(codes[codes >= 0], minlength=int(codes.max(initial=0)) + 1)[codes[rows]] > 1
            asked = (codes[rows] >= 0) & several
            hit = codes[np.maximum(near.rows[:, 0], 0)] == codes[rows]
            shares[RANKS[rank]] = round(float(hit[asked].mean()), 4) if asked.any() else 0.0
        found[one.name] = shares
    best = candidates[0]
    for one in candidates[1:]:
        gain = found[one.name]["species"] - found[best.name]["species"]
        gain = gain or found[one.name]["genus"] - found[best.name]["genus"]
        best = one if gain > BETTER else best
    return best, found


def sample_of(sequences: SequenceArray, vectors: Vectors, seed: int) -> tuple[Sample, Points]:
    """Whole references, and a stretch anywhere in some of those that are longer than it; and some of both read from end
    to start, which no gene is."""
    rng = np.random.default_rng([seed, 21])
    rows = np.sort(rng.permutation(len(sequences))[:MOST_SAMPLED])
    wanted = rng.integers(FRAGMENTS[0], FRAGMENTS[-1], len(rows))
    slack = sequences.lengths[rows] - wanted
    cut = rng.permutation(np.flatnonzero(slack > 0))[:MOST_STRETCHES]
    starts = sequences.offsets[:-1][rows[cut]] + rng.integers(0, slack[cut] + 1)
    stretches = SequenceArray.gather(sequences.letters, starts, wanted[cut])
    every = join([sequences.take(rows), stretches])
    is_whole = np.arange(len(every)) < len(rows)
    sample = Sample(np.append(rows, rows[cut]), every.lengths, is_whole, points_of(vectors, every))
    turned = rng.permutation(len(every))[:CONTROLS]
    return sample, points_of(vectors, SequenceArray.of([every[int(row)][::-1] for row in turned]))
