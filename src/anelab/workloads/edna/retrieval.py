"""Which references are nearest to each sequence, and how often they are of its species, genus and family."""

from collections.abc import Callable

import numpy as np

from anelab.learning.base import Array, Arrays
from anelab.learning.metrics import roc_auc
from anelab.workloads.edna.splits import KNOWN, NOVEL, REFERENCE

RANKS = ("species", "genus", "family")
NEAREST = 5
ROWS_AT_ONCE = 512
MOST_SILHOUETTE = 2000

Scores = Callable[[slice], Array]
"""Of a part of the rows their similarities to all references, float [part, references]."""


def retrieval_rows(embedding: Array, targets: Arrays) -> dict[str, Array]:
    """Of rows [n, d] of length 1, among which `targets["kind"]` tells references: what `rows_of_scores` gives for their
    cosines, and their silhouettes by family."""
    references = embedding[targets["kind"] == REFERENCE]
    rows = rows_of_scores(lambda part: embedding[part] @ references.T, targets)
    return rows | {"silhouette": _silhouette(embedding, targets)}


def rows_of_scores(scores: Scores, targets: Arrays) -> dict[str, Array]:
    """`hitK_RANK`, bool [n]: whether one of the K nearest references but itself has the row's taxon; `similarity` to
    the nearest; `decision`, its species, of equally near ones that with the lowest number."""
    references = np.flatnonzero(targets["kind"] == REFERENCE)
    found, similarity = nearest(scores, len(targets["kind"]), references)
    rows: dict[str, Array] = {"similarity": similarity[:, 0]}
    for rank in RANKS:
        alike = targets[rank][references][found] == targets[rank][:, None]
        rows |= {f"hit{k}_{rank}": alike[:, :k].any(axis=1) & (targets[rank] >= 0) for k in (1, NEAREST)}
    species = targets["species"][references][found]
    tied = similarity >= similarity[:, :1]
    rows["decision"] = np.where(tied, species, np.iinfo(species.dtype).max).min(axis=1)
    return rows


def nearest(scores: Scores, count: int, references: Array) -> tuple[Array, Array]:
    """Places among the references of the NEAREST that are most similar to each of `count` rows, [n, k], the nearest
    first, and their similarities. `references`: the row that each is, which is not its own neighbour."""
    k = min(NEAREST, len(references))
    places, values = np.empty((count, k), np.int64), np.empty((count, k), np.float32)
    for start in range(0, count, ROWS_AT_ONCE):
        part = slice(start, min(start + ROWS_AT_ONCE, count))
        found = scores(part)
        own = np.flatnonzero((references >= part.start) & (references < part.stop))
        found[references[own] - start, own] = -np.inf
        best = np.argpartition(-found, k - 1, axis=1)[:, :k]
        value = np.take_along_axis(found, best, axis=1)
        order = np.lexsort((best, -value), axis=1)
        places[part], values[part] = np.take_along_axis(best, order, 1), np.take_along_axis(value, order, 1)
    return places, values


def _silhouette(embedding: Array, targets: Arrays) -> Array:
    """Float [n]: by family and cosine distance; NaN for references, and beyond the first queries."""
    from sklearn.metrics import silhouette_samples

    found = np.full(len(embedding), np.nan)
    rows = np.flatnonzero((targets["kind"] != REFERENCE) & (targets["family"] >= 0))[:MOST_SILHOUETTE]
    families = targets["family"][rows]
    if 1 < len(np.unique(families)) < len(rows):
        distance = np.clip(1 - embedding[rows] @ embedding[rows].T, 0, 2)
        np.fill_diagonal(distance, 0)
        found[rows] = silhouette_samples(distance, families, metric="precomputed")
    return found


def retrieval_figures(rows: Arrays, targets: Arrays) -> dict[str, float]:
    """Over queries of known taxa; NaN where there are none."""
    known, figures = targets["kind"] == KNOWN, {}
    for rank in RANKS:
        asked = known & (targets[rank] >= 0)
        for k in (1, NEAREST):
            figures[f"recall{k}_{rank}"] = float(rows[f"hit{k}_{rank}"][asked].mean()) if asked.any() else np.nan
    queries = targets["kind"] != REFERENCE
    novel = targets["kind"][queries] == NOVEL
    both = novel.any() and not novel.all()
    figures["novelty_auroc"] = roc_auc(-rows["similarity"][queries], novel) if both else np.nan
    values = rows["silhouette"][queries] if "silhouette" in rows else np.empty(0)
    figures["silhouette"] = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
    return figures
