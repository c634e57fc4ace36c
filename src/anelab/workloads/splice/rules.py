"""What a meta-layer has to beat: the base model itself, its calibration, trees on the same features, and the sequence
beside the position. Each is fitted when it is first asked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.learning.base import Arrays, Rule, Split
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.splice.config import Config
from anelab.workloads.splice.features import CENTER, LABELS, features
from anelab.workloads.splice.windows import Windows, load_windows

LEAST = 1e-12
NEAR = 30
"""Bases on each side of the position."""
KMER = 3
TREES = {"max_iter": 100, "learning_rate": 0.08, "max_leaf_nodes": 15, "l2_regularization": 1.0, "random_state": 0}

Matrix = NDArray[np.float64]
Answer = Callable[[Bytes, NDArray[np.float32]], Matrix]
"""Codes [n, width] and scores [n, 15] to chances [n, 3]."""


def rules(config: Config, prepared: Path) -> Mapping[str, Rule]:
    return {
        "base": _rule(lambda: base),
        "base_temperature": _rule(lambda: _temperatures(load_windows(prepared, "validation"))),
        "boosted_trees": _rule(lambda: _trees(load_windows(prepared, "train"))),
        "kmer_position": _rule(lambda: _logistic(load_windows(prepared, "train"))),
    }


def _rule(fit: Callable[[], Answer]) -> Rule:
    fitted: list[Answer] = []

    def answer(split: Split) -> Arrays:
        if not fitted:
            fitted.append(fit())
        given = split.inputs["model"]
        probability = fitted[0](given["sequence"].astype(np.uint8), given["scores"])
        return {"probability": probability, "decision": probability.argmax(axis=1)}

    return answer


def base(sequence: Bytes, scores: NDArray[np.float32]) -> Matrix:
    """The base model's own chances at the position."""
    found = np.maximum(scores[:, list(CENTER)].astype(np.float64), LEAST)
    chances: Matrix = found / found.sum(axis=1, keepdims=True)
    return chances


def _temperatures(validation: Windows) -> Answer:
    """Log chances divided by a temperature of each class, fitted to validation rows."""
    from scipy.optimize import minimize

    logits, rows = np.log(base(validation.sequence, validation.scores)), np.arange(len(validation))

    def chances(logits: Matrix, log_temperatures: Matrix) -> Matrix:
        return softmax(logits / np.exp(log_temperatures))

    def loss(log_temperatures: Matrix) -> float:
        found = chances(logits, log_temperatures)[rows, validation.label]
        return float(-np.log(np.maximum(found, LEAST)).mean())

    best = minimize(loss, np.zeros(len(LABELS)), method="L-BFGS-B", bounds=[(-3, 3)] * len(LABELS)).x
    return lambda sequence, scores: chances(np.log(base(sequence, scores)), best)


def _trees(train: Windows) -> Answer:
    """Gradient-boosted trees on the logarithms of the scores and the features."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # threads that wait for each other are slower, where other work runs
        model = HistGradientBoostingClassifier(**TREES).fit(_of_scores(train.scores), train.label)
    return lambda sequence, scores: _of_classes(model, _of_scores(scores))


def _logistic(train: Windows) -> Answer:
    """Logistic regression on the bases near the position, and on how often each 3-mer is before and after it."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.05, max_iter=300).fit(_of_sequence(train.sequence), train.label)
    return lambda sequence, scores: _of_classes(model, _of_sequence(sequence))


def _of_classes(model: Any, given: NDArray[Any]) -> Matrix:
    """Of all classes, those too that no training row has."""
    found = np.zeros((len(given), len(LABELS)))
    found[:, model.classes_] = model.predict_proba(given)
    return found


def _of_scores(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.concatenate([np.log(np.maximum(scores, LEAST)), features(scores, np)], axis=1)
    return found


def _of_sequence(sequence: Bytes) -> NDArray[np.float32]:
    center = sequence.shape[1] // 2
    near = sequence[:, max(center - NEAR, 0) : center + NEAR + 1]
    bases = (near[:, :, None] == np.arange(4, 8)).reshape(len(sequence), -1)
    sides = [_kmer_shares(side) for side in (sequence[:, :center], sequence[:, center + 1 :])]
    found: NDArray[np.float32] = np.concatenate([bases, *sides], axis=1).astype(np.float32)
    return found


def _kmer_shares(sequence: Bytes) -> NDArray[np.float32]:
    """Float32 [n, 64], times 8, so that they weigh about as much as bases do."""
    values = np.where((sequence >= 4) & (sequence <= 7), sequence.astype(np.int64) - 4, -(4**KMER))
    count = sequence.shape[1] - KMER + 1
    codes = sum(values[:, place : place + count] * 4 ** (KMER - 1 - place) for place in range(KMER))
    assert isinstance(codes, np.ndarray)
    shape, whole = (len(sequence), 4**KMER), codes >= 0
    cells = (np.arange(len(sequence))[:, None] * 4**KMER + codes)[whole]
    found = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    shares: NDArray[np.float32] = (8 * found / max(count, 1)).astype(np.float32)
    return shares


def softmax(logits: Matrix) -> Matrix:
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances: Matrix = found / found.sum(axis=1, keepdims=True)
    return chances
