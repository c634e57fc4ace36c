"""The plain filters that the network has to beat."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.learning.arrays import load_array
from anelab.learning.base import Arrays, Rule, Split
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.read_quality.config import Config
from anelab.workloads.read_quality.encode import ROUNDING, expected_errors, lengths_of, phred_scores
from anelab.workloads.read_quality.filters import best_threshold
from anelab.workloads.read_quality.labels import SCORES

Score = Callable[[Bytes], NDArray[np.float64]]


def rules(config: Config, prepared: Path) -> Mapping[str, Rule]:
    """The mean-quality filter and the expected-errors filter, each made a probability by a logistic around its
    threshold: the configured one, and reads that are too short fail; or, where errors are known, the one that tells the
    training reads best."""
    data = config.data
    if data.label in SCORES:
        return {
            "mean_quality": _rule(lambda raw: phred_scores(raw)[0] - data.min_mean_quality, data.min_length),
            "expected_errors": _rule(
                lambda raw: data.max_expected_errors + ROUNDING - expected_errors(raw), data.min_length
            ),
        }
    raw, label = (load_array(prepared / f"train.{part}.npy") for part in ("raw", "label"))
    worse: Mapping[str, Score] = {"mean_quality": lambda raw: -phred_scores(raw)[0], "expected_errors": expected_errors}
    return {name: _below(score, best_threshold(score(raw), ~label)) for name, score in worse.items()}


def _below(score: Score, threshold: float) -> Rule:
    return _rule(lambda raw: threshold - score(raw), 0)


def _rule(margin: Score, min_length: int) -> Rule:
    """PASS where `margin`, [n] of raw bytes, is not below zero and there are enough bases."""

    def answer(split: Split) -> Arrays:
        raw = split.inputs["raw"]["input"]
        found = np.where(lengths_of(raw) >= min_length, margin(raw), -99.0)
        probability = 1 / (1 + np.exp(-np.clip(found, -99.0, 99.0)))
        return {"probability": probability, "decision": (probability >= 0.5).astype(np.int64)}

    return answer
