"""Clusters of references, and a map of them in two dimensions. Both are fitted once, with the index: whatever is looked
at later has its place on the same map, so that two surveys can be compared."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.inference.edna.embed import Embeddings

MOST_CLUSTERED = 5000
COMPONENTS, DIMENSIONS = 32, 2
"""Principal components in which distances are measured, and the first of them, which are the map."""
SMALLEST = 5
ROWS_AT_ONCE = 1024
OUTSIDE = -1
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ClusterMap:
    """`mean`: float32 [d]; `axes`: float32 [components, d], orthonormal; `explained`: float [components], shares of the
    variance; `members`: float32 [m, components], vectors that were clustered, and `labels`, int64 [m], the cluster of
    each, OUTSIDE for none; `reach`: float32 [clusters], the longest distance of a member to the nearest other."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    explained: NDArray[np.float32]
    members: NDArray[np.float32]
    labels: Labels
    reach: NDArray[np.float32]

    @classmethod
    def fit(cls, vectors: Embeddings, seed: int) -> "ClusterMap":
        """Principal components of vectors, float32 [m, d], and HDBSCAN in them, by scikit-learn."""
        from sklearn.cluster import HDBSCAN
        from sklearn.decomposition import PCA

        count = min(COMPONENTS, *vectors.shape)
        found = PCA(count, svd_solver="randomized", random_state=seed).fit(vectors)
        mean, axes = (values.astype(np.float32) for values in (found.mean_, found.components_))
        members = _turned(vectors, mean, axes)
        labels = HDBSCAN(min_cluster_size=SMALLEST, copy=True).fit_predict(members).astype(np.int64)
        shares = found.explained_variance_ratio_.astype(np.float32)
        return cls(mean, axes, shares, members, labels, _reach(members, labels))

    def places(self, vectors: Embeddings) -> NDArray[np.float32]:
        """Float32 [n, 2]."""
        found: NDArray[np.float32] = self._components(vectors)[:, :DIMENSIONS]
        return found

    def clusters(self, vectors: Embeddings) -> Labels:
        """Int [n]: the cluster of the nearest member, if that is within the cluster's reach, else OUTSIDE."""
        found = np.full(len(vectors), OUTSIDE)
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            distance = _distances(self._components(vectors[part]), self.members)
            nearest = distance.argmin(axis=1)
            label = self.labels[nearest]
            within = distance[np.arange(len(nearest)), nearest] <= np.append(self.reach, -1)[label]
            found[part] = np.where(within, label, OUTSIDE)
        return found

    def _components(self, vectors: Embeddings) -> NDArray[np.float32]:
        return _turned(vectors, self.mean, self.axes)

    def figures(self, families: "NDArray[Any]") -> dict[str, float]:
        """`families`, integers [m], below 0 unknown: how many clusters there are, and how they agree with families."""
        from sklearn.metrics import adjusted_rand_score

        inside = (self.labels >= 0) & (families >= 0)
        found = {"clusters": len(self.reach), "share in a cluster": round(float((self.labels >= 0).mean()), 4)}
        if inside.any():
            score = adjusted_rand_score(families[inside], self.labels[inside])
            found["adjusted Rand index of clusters and families"] = round(float(score), 4)
        return found


def clustered_rows(count: int, seed: int) -> Labels:
    """Of `count` references those that are clustered; the others have the cluster of the nearest of these."""
    return np.sort(np.random.default_rng([seed, 24]).permutation(count)[:MOST_CLUSTERED])


def _turned(vectors: Embeddings, mean: NDArray[np.float32], axes: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = vectors @ axes.T - mean @ axes.T
    return found


def _distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = (one**2).sum(axis=1)[:, None] - 2 * one @ other.T + (other**2).sum(axis=1)
    found: NDArray[np.float32] = np.sqrt(np.maximum(squares, 0))
    return found


def _reach(members: NDArray[np.float32], labels: Labels) -> NDArray[np.float32]:
    found = np.zeros(labels.max(initial=OUTSIDE) + 1, np.float32)
    for label in range(len(found)):
        distance = _distances(members[labels == label], members[labels == label])
        np.fill_diagonal(distance, np.inf)
        found[label] = distance.min(axis=1).max()
    return found
