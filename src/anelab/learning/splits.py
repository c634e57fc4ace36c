"""Train, validation and test rows: seeded, stratified, and never splitting a group."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.files import canonical_json, sha256_text
from anelab.learning.base import Split
from anelab.learning.config import SplitConfig

Indices = NDArray[np.int64]


def stratified_split(strata: NDArray[Any], groups: NDArray[Any], shares: SplitConfig, seed: int) -> dict[str, Indices]:
    """Row indices by split. `strata` and `groups` are [n]; a group goes where its highest stratum goes.

    A stratum of at least three groups has one in every split that has a share.
    """
    names, member = np.unique(groups, return_inverse=True)
    stratum = np.zeros(len(names), np.int64)
    np.maximum.at(stratum, member, strata.astype(np.int64))
    part = np.empty(len(names), np.int64)
    rng = np.random.default_rng([seed, 1])
    for value in np.unique(stratum):
        chosen = rng.permutation(np.flatnonzero(stratum == value))
        test, validation = (_count(share, chosen.size) for share in (shares.test, shares.validation))
        part[chosen] = np.repeat([2, 1, 0], [test, validation, chosen.size - test - validation])
    rows = part[member]
    return {name: np.flatnonzero(rows == code) for code, name in enumerate(("train", "validation", "test"))}


def _count(share: float, size: int) -> int:
    least = 1 if share and size >= 3 else 0
    return max(round(share * size), least)


def split_digest(split: Split) -> str:
    """sha256 of a split's inputs and targets: the identity of a test set."""
    arrays = {f"{graph}.{name}": array for graph, named in split.inputs.items() for name, array in named.items()}
    arrays |= {f"target.{name}": array for name, array in split.targets.items()}
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
    parts = {name: f"{array.dtype}{array.shape}{digests[name]}" for name, array in arrays.items()}
    return sha256_text(canonical_json(parts))
