"""Whether inputs still look like those a model was trained on: the population stability index of each feature.

PSI is the sum of (p - q) ln(p / q) over bins, p the share of a bin now, q in training. Bins are bounded by the deciles
of the training rows. By a rule of thumb of credit scoring, 0.1 is a small change and 0.25 a large one; chance alone
gives about (bins - 1) / rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anelab.learning.base import Array

MOST_FEATURES = 1000
PROJECTIONS = 64
"""Of inputs of more features: sums of them with random signs."""
MOST_ROWS = 10_000
"""Of the training rows, evenly spaced."""
LEAST_SHARE = 1e-4
"""Of a bin, so that an empty one does not make the index infinite."""
FEW = 0.005
"""A share so small that its bin adds next to nothing by chance."""
BINS = 23
SEED = 20


@dataclass(frozen=True)
class Reference:
    """Of one input. `edges`: of each feature its different deciles, 11 at most, rising. `shares`, [features, 23]: of
    training rows below the first edge, at it, above it, at the second, and so on. `rows`: how many they were.
    `projected`: features are random projections."""

    edges: Sequence[Array]
    shares: Array
    rows: int
    projected: bool

    def counts(self, rows: Array) -> Array:
        """int64 [features, 23]: how many of the rows, [n, ...], each bin has."""
        return _counts(self.edges, features_of(rows, self.projected))

    def psi(self, counts: Array) -> Array:
        """[features]: of `counts` against the training rows."""
        now = np.maximum(counts / counts.sum(axis=1, keepdims=True), LEAST_SHARE)
        then = np.maximum(self.shares, LEAST_SHARE)
        found: Array = ((now - then) * np.log(now / then)).sum(axis=1)
        return found

    def noise(self, rows: int) -> float:
        """What PSI is on average, over features, of so many rows that do not differ."""
        bins = (self.shares > FEW).sum(axis=1)
        return float((bins - 1).mean()) * (1 / rows + 1 / self.rows)


def _counts(edges: Sequence[Array], values: Array) -> Array:
    found = np.zeros((len(edges), BINS), np.int64)
    for place, (line, column) in enumerate(zip(edges, values.T, strict=True)):
        bounds = line.astype(column.dtype)  # decimals of a manifest are exact in that
        bins = np.searchsorted(bounds, column, "left") + np.searchsorted(bounds, column, "right")
        found[place] = np.bincount(bins, minlength=BINS)
    return found


def features_of(rows: Array, projected: bool) -> Array:
    """[n, features] of [n, ...]."""
    flat = rows.reshape(len(rows), -1)
    if not projected:
        return flat
    projection: Array = flat.astype(np.float64) @ _signs(flat.shape[1])
    return projection


def _signs(features: int) -> Array:
    """float64 [features, PROJECTIONS] of 1 and -1, over the root of the number of features: the same everywhere."""
    words = np.random.PCG64(SEED).random_raw(features).astype("<u8")
    bits = np.unpackbits(words.view(np.uint8), bitorder="little").reshape(features, PROJECTIONS)
    found: Array = (bits * 2.0 - 1.0) / np.sqrt(features)
    return found


def describe_rows(rows: Array) -> dict[str, Any]:
    """The reference of training rows, [n, ...], as a manifest has it. The numbers of a feature are one text: commands
    read manifests, and thousands of values would cost them more than all else there."""
    chosen = rows[:: max(1, -(-len(rows) // MOST_ROWS))]
    projected = chosen[0].size > MOST_FEATURES
    values = features_of(chosen, projected)
    deciles = np.quantile(values, np.linspace(0, 1, 11), axis=0, method="nearest").T  # of bytes it is a byte
    edges = [np.unique(line) for line in deciles]
    features = [
        {"counts": _text(counts[: 2 * len(line) + 1]), "edges": _text(line)}
        for line, counts in zip(edges, _counts(edges, values), strict=True)
    ]
    return {"features": features, "projected": projected, "rows": len(chosen)}


def _text(values: Array) -> str:
    """The shortest decimals that are those values in their own dtype."""
    return " ".join(map(str, values))


def read_reference(described: Mapping[str, Any]) -> Reference:
    """Of a manifest. Raises ValueError, TypeError, LookupError or AttributeError if it is none."""
    features, rows = described["features"], int(described["rows"])
    edges = [np.array(item["edges"].split(), np.float64) for item in features]
    shares = np.zeros((len(features), BINS))
    for place, (item, line) in enumerate(zip(features, edges, strict=True)):
        counts = item["counts"].split()
        if len(counts) != 2 * len(line) + 1:
            raise ValueError(f"feature {place} has {len(counts)} counts for {len(line)} edges")
        shares[place, : len(counts)] = np.array(counts, np.float64) / rows
    return Reference(edges, shares, rows, bool(described["projected"]))
