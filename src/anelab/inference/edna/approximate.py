"""Shortlists among very many references, by FAISS's inverted lists: of the vectors, which are grouped by k-means, only
those of the groups that are nearest to a query are compared with it."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.texts import notify

LARGE = 200_000
"""References from which on it pays; an exact search of fewer takes less time than the re-ranking."""
PROBED = 32
TRAINED_ON = 64
"""Vectors a group for k-means."""

Search = Callable[[NDArray[np.float32], int], tuple[NDArray[np.int64], NDArray[np.float32]]]
"""Of vectors, float32 [n, d], and a number: rows of so many references, int64 [n, m], in any order, and their cosines;
-1 and -2 where there are none."""


def approximate_search(vectors: NDArray[np.float32], seed: int = 0) -> Search | None:
    """Of references, float32 [m, d] of length 1. None, which stands for an exact search, if they are fewer than LARGE,
    or if FAISS is not installed."""
    if len(vectors) < LARGE:
        return None
    if find_spec("faiss") is None:
        notify(
            f"anelab: {len(vectors):,} references are searched exactly; FAISS is quicker: pip install 'anelab[faiss]'"
        )
        return None
    return inverted_lists(vectors, seed)


def inverted_lists(vectors: NDArray[np.float32], seed: int = 0) -> Search:
    import faiss

    groups = int(4 * np.sqrt(len(vectors)))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(vectors.shape[1]), vectors.shape[1], groups, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = seed + 1, 10, TRAINED_ON
    index.nprobe = PROBED
    index.train(vectors)
    index.add(vectors)

    def search(queries: NDArray[np.float32], most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        found: Any = index.search(np.ascontiguousarray(queries, np.float32), most)
        cosine, rows = found
        return rows, np.where(rows >= 0, cosine, np.float32(-2))

    return search
