"""Which references are nearest to each sequence, and how often they are of its species, genus and family."""

from collections.abc import Callable

import numpy as np

from anelab.learning.base import Array, Arrays
from anelab.learning.metrics import roc_auc
from anelab.workloads.edna.splits import KNOWN, REFERENCE

RANKS = ("species", "genus", "family")
NEAREST = 5
ROWS_AT_ONCE = 512
MOST_SILHOUETTE = 2000

Scores = Callable[[Array], Array]
"""Of some rows, int [part], their similarities to all references, float [part, references]."""


def retrieval_rows(embedding: Array, targets: Arrays) -> dict[str, Array]:
    """Of rows [n, d] of length 1, among which `targets["kind"]` tells references: what `rows_of_scores` gives for their
    cosines, and their silhouettes by family."""
    references = embedding[targets["kind"] == REFERENCE]
    rows = rows_of_scores(lambda rows: embedding[rows] @ references.T, targets, np.arange(len(embedding)))
    return rows | {"silhouette": _silhouette(embedding, targets)}


def rows_of_scores(scores: Scores, targets: Arrays, asked: Array | None = None) -> dict[str, Array]:
    """Of all n rows, though only those that are `asked` for, int [m], by default the queries, have an answer:
    `hitK_RANK`, bool [n]: whether one of the K nearest references but itself has the row's taxon; `similarity` to the
    nearest; `decision`, its species, of equally near ones that with the lowest number."""
    kind = targets["kind"]
    references, asked = np.flatnonzero(kind == REFERENCE), np.flatnonzero(kind != REFERENCE) if asked is None else asked
    found, similarity = nearest(scores, asked, references)
    rows = {"similarity": _spread(similarity[:, 0], asked, len(kind))}
    for rank in RANKS:
        own = targets[rank][asked]
        alike = (targets[rank][references][found] == own[:, None]) & (own >= 0)[:, None]
        rows |= {f"hit{k}_{rank}": _spread(alike[:, :k].any(axis=1), asked, len(kind)) for k in (1, NEAREST)}
    species = targets["species"][references][found]
    tied = similarity >= similarity[:, :1]
    lowest = np.where(tied, species, np.iinfo(species.dtype).max).min(axis=1)
    return rows | {"decision": _spread(lowest, asked, len(kind))}


def _spread(values: Array, rows: Array, count: int) -> Array:
    """Of `count` rows, zeros but for those."""
    found = np.zeros(count, values.dtype)
    found[rows] = values
    return found


def nearest(scores: Scores, asked: Array, references: Array) -> tuple[Array, Array]:
    """Places among the references of the NEAREST that are most similar to each of the rows `asked`, [m, k], the nearest
    first, and their similarities. `references`: the row that each is, which is not its own neighbour."""
    k = min(NEAREST, len(references))
    places, values = np.empty((len(asked), k), np.int64), np.empty((len(asked), k), np.float32)
    for start in range(0, len(asked), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        found = scores(asked[part])
        own, itself = np.nonzero(asked[part, None] == references)
        found[own, itself] = -np.inf
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
    """Recall over queries whose taxon is among the references; NaN where there are none."""
    known, figures = targets["kind"] == KNOWN, {}
    references = targets["kind"] == REFERENCE
    for rank in RANKS:
        asked = known & (targets[rank] >= 0) & np.isin(targets[rank], targets[rank][references])
        for k in (1, NEAREST):
            figures[f"recall{k}_{rank}"] = float(rows[f"hit{k}_{rank}"][asked].mean()) if asked.any() else np.nan
    queries = targets["kind"] != REFERENCE
    genus = targets["genus"][queries]
    novel = (genus >= 0) & ~np.isin(genus, targets["genus"][references])
    both = novel.any() and not novel.all()
    figures["novelty_auroc"] = roc_auc(-rows["similarity"][queries], novel) if both else np.nan
    values = rows["silhouette"][queries] if "silhouette" in rows else np.empty(0)
    figures["silhouette"] = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
    return figures
