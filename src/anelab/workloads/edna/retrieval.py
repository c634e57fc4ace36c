"""Which references are nearest to each sequence, and how often they are of its species, genus and family."""

from collections.abc import Mapping

import numpy as np

from anelab.learning.base import Array, Arrays
from anelab.learning.metrics import roc_auc
from anelab.workloads.edna.splits import KNOWN, NOVEL, REFERENCE

RANKS = ("species", "genus", "family")
NEAREST = 5
TIE = 1e-3
"""References whose similarity is less than this below the best are as near as it."""
ROWS_AT_ONCE = 512
MOST_SILHOUETTE = 2000


def retrieval_rows(embedding: Array, targets: Arrays) -> dict[str, Array]:
    """Of rows [n, d] of length 1, among which `targets["kind"]` tells references: `hitK_RANK`, bool, whether one of the
    K nearest other references has the row's taxon; `similarity` to the nearest; `decision`, its species; `silhouette`
    by family."""
    references = np.flatnonzero(targets["kind"] == REFERENCE)
    found, similarity = nearest(embedding, embedding[references], references)
    rows: dict[str, Array] = {"similarity": similarity[:, 0]}
    for rank in RANKS:
        alike = targets[rank][references][found] == targets[rank][:, None]
        rows |= {f"hit{k}_{rank}": alike[:, :k].any(axis=1) & (targets[rank] >= 0) for k in (1, NEAREST)}
    tied = similarity >= similarity[:, :1] - TIE
    species = targets["species"][references][found]
    rows["decision"] = np.where(tied, species, np.iinfo(species.dtype).max).min(axis=1)
    rows["silhouette"] = _silhouette(embedding, targets)
    return rows


def nearest(queries: Array, references: Array, itself: Array | None = None, k: int = NEAREST) -> tuple[Array, Array]:
    """Places of the `k` references nearest by product, [n, k], the nearest first, and their products. `itself`: the row
    of `queries` that each reference is, which is not its own neighbour."""
    k = min(k, len(references))
    places, values = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    for start in range(0, len(queries), ROWS_AT_ONCE):
        scores = queries[start : start + ROWS_AT_ONCE] @ references.T
        if itself is not None:
            own = np.flatnonzero((itself >= start) & (itself < start + len(scores)))
            scores[itself[own] - start, own] = -2
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        value = np.take_along_axis(scores, best, axis=1)
        order = np.lexsort((best, -value), axis=1)
        part = slice(start, start + len(scores))
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
    values = rows["silhouette"][queries]
    figures["silhouette"] = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
    return figures


