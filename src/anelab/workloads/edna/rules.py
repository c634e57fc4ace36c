"""The classical answers, in NumPy: cosine of k-mer counts, shared k-mers, naive Bayes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.learning.base import Array, Arrays, Rule, Split
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.profiles import KmerSets, kmer_profiles
from anelab.workloads.edna.config import Config
from anelab.workloads.edna.retrieval import retrieval_rows, rows_of_scores
from anelab.workloads.edna.splits import REFERENCE

COSINE_K, CONTAINMENT_K, BAYES_K = 6, 8, 7
ALPHA = 0.001
"""Of QIIME 2's classifier."""


def rules(config: Config, prepared: Path) -> Mapping[str, Rule]:
    return {"kmer_cosine": kmer_cosine, "containment": containment, "naive_bayes": naive_bayes}


def kmer_cosine(split: Split) -> Arrays:
    """Of counts of canonical 6-mers."""
    return retrieval_rows(kmer_profiles(_sequences(split), COSINE_K), split.targets)


def containment(split: Split) -> Arrays:
    """The share of the smaller set of canonical 8-mers that both have."""
    sets = KmerSets.of(_sequences(split), CONTAINMENT_K)
    references = sets.take(np.flatnonzero(split.targets["kind"] == REFERENCE))

    def scores(rows: Array) -> Array:
        queries = sets.take(rows)
        smaller = np.minimum(queries.sizes[:, None], references.sizes)
        shares: Array = (queries.shared_with_all(references) / np.maximum(smaller, 1)).astype(np.float32)
        return shares

    return rows_of_scores(scores, split.targets)


def naive_bayes(split: Split) -> Arrays:
    """Multinomial naive Bayes of species on counts of canonical 7-mers, each sequence's of length 1, as QIIME 2's
    classifier is; each reference has the score of its species."""
    profiles = kmer_profiles(_sequences(split), BAYES_K)
    references = split.targets["kind"] == REFERENCE
    weights, place = fit_naive_bayes(profiles[references], split.targets["species"][references])
    return rows_of_scores(lambda rows: (profiles[rows] @ weights.T)[:, place], split.targets)


def fit_naive_bayes(profiles: Array, labels: Array) -> tuple[NDArray[np.float32], Array]:
    """Log chances of each feature in each class, [classes, features], and the place of each row's class. Rows without a
    label, below 0, are a class of their own."""
    _, place = np.unique(np.where(labels >= 0, labels, -1 - np.arange(len(labels))), return_inverse=True)
    sums = np.full((place.max() + 1, profiles.shape[1]), ALPHA)
    np.add.at(sums, place, profiles)
    return (np.log(sums) - np.log(sums.sum(axis=1, keepdims=True))).astype(np.float32), place


def _sequences(split: Split) -> SequenceArray:
    if split.context is None:
        raise AnelabError("rules of edna compare with the references of a whole split; they cannot be timed by rows")
    found: SequenceArray = split.context.take(split.targets["row"])
    return found
