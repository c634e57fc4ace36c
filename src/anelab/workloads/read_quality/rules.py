"""The plain filters that the network has to beat."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from anelab.learning.base import Arrays, Rule, Split
from anelab.workloads.read_quality.config import Config
from anelab.workloads.read_quality.encode import phred_scores


def rules(config: Config, prepared: Path) -> Mapping[str, Rule]:
    """The mean-quality filter; its score is made a probability by a logistic around the threshold."""

    def mean_quality(split: Split) -> Arrays:
        mean, lengths = phred_scores(split.inputs["raw"]["input"])
        score = np.where(lengths >= config.data.min_length, mean - config.data.min_mean_quality, -99.0)
        probability = 1 / (1 + np.exp(-score))
        return {"probability": probability, "decision": (probability >= 0.5).astype(np.int64)}

    return {"mean_quality": mean_quality}
