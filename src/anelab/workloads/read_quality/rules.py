"""The plain filters that the network has to beat."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.learning.base import Arrays, Rule, Split
from anelab.workloads.read_quality.config import Config
from anelab.workloads.read_quality.encode import ROUNDING, expected_errors, lengths_of, phred_scores
from anelab.workloads.read_quality.fastq import Bytes

Values = NDArray[np.float64]


def rules(config: Config, prepared: Path) -> Mapping[str, Rule]:
    """The mean-quality filter and the expected-errors filter, each made a probability by a logistic around its
    threshold. Reads that are too short fail both."""
    data = config.data

    def rule(score: Callable[[Bytes], Values]) -> Rule:
        def answer(split: Split) -> Arrays:
            raw = split.inputs["raw"]["input"]
            found = np.where(lengths_of(raw) >= data.min_length, score(raw), -99.0)
            probability = 1 / (1 + np.exp(-np.clip(found, -99.0, 99.0)))
            return {"probability": probability, "decision": (probability >= 0.5).astype(np.int64)}

        return answer

    return {
        "mean_quality": rule(lambda raw: phred_scores(raw)[0] - data.min_mean_quality),
        "expected_errors": rule(lambda raw: data.max_expected_errors + ROUNDING - expected_errors(raw)),
    }
