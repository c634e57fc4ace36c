"""Figures of predicted probabilities, in NumPy: fast enough to be bootstrapped.

`probability` is float [n] in [0, 1], `label` bool or integer [n]. A figure that the labels leave
undefined (one class only) is NaN, never a guess; `defined` drops those before they are written.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any] | np.bool_]


def binary_figures(probability: Floats, label: Labels) -> dict[str, float]:
    """At 0.5: accuracy, balanced accuracy, precision, recall, specificity, F1; then ROC-AUC, average
    precision, ECE, negative log-likelihood and the prevalence."""
    table = confusion((probability >= 0.5).astype(int), label.astype(int), 2)
    (true_negative, false_positive), (false_negative, true_positive) = table.tolist()
    recall = _ratio(true_positive, true_positive + false_negative)
    specificity = _ratio(true_negative, true_negative + false_positive)
    figures = {
        "accuracy": (true_positive + true_negative) / label.size,
        "balanced_accuracy": (recall + specificity) / 2,
        "precision": _ratio(true_positive, true_positive + false_positive),
        "recall": recall,
        "specificity": specificity,
        "f1": _ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative),
        "roc_auc": roc_auc(probability, label),
        "average_precision": average_precision(probability, label),
        "ece": expected_calibration_error(probability, label),
        "nll": -np.log(np.maximum(np.where(label, probability, 1 - probability), 1e-12)).mean(),
        "prevalence": label.mean(),
    }
    return defined(figures)


def class_figures(probability: Floats, label: Labels) -> dict[str, float]:
    """Accuracy, macro F1, negative log-likelihood and ECE of the top class; probability is [n, classes]."""
    decision = probability.argmax(axis=1)
    table = confusion(decision, label, probability.shape[1])
    hits, sizes = np.diag(table), table.sum(axis=0) + table.sum(axis=1)
    chosen = probability[np.arange(label.size), label]
    figures = {
        "accuracy": hits.sum() / label.size,
        "macro_f1": (2 * hits[sizes > 0] / sizes[sizes > 0]).mean(),
        "nll": -np.log(np.maximum(chosen, 1e-12)).mean(),
        "ece": expected_calibration_error(probability.max(axis=1), decision == label),
    }
    return defined(figures)


def confusion(decision: Labels, label: Labels, classes: int) -> NDArray[np.int64]:
    """Counts [true class, decided class]."""
    cells = label.astype(np.int64) * classes + decision.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def roc_auc(score: Floats, label: Labels) -> float:
    """Probability that a positive outranks a negative, ties counting half (Mann-Whitney U)."""
    positive = label.astype(bool)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    u = rank[place][positive].sum() - n_positive * (n_positive + 1) / 2
    return float(u / (n_positive * n_negative))


def average_precision(score: Floats, label: Labels) -> float:
    """Sum of precision times the step in recall over distinct thresholds, without interpolation."""
    positive = label.astype(bool)
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float((precision * np.diff(recall, prepend=0.0)).sum())


def expected_calibration_error(probability: Floats, label: Labels, bins: int = 15) -> float:
    """Mean distance between probability and frequency over bins of equal mass."""
    order = np.argsort(probability, kind="stable")
    gap = np.cumsum(np.append(0.0, probability[order] - label[order]))
    edges = np.linspace(0, label.size, min(bins, label.size) + 1).round().astype(int)
    return float(np.abs(np.diff(gap[edges])).sum() / label.size)


def calibration_table(probability: Floats, label: Labels, bins: int = 15) -> list[dict[str, float]]:
    """Mean probability and observed frequency of each equal-mass bin, for a reliability plot."""
    order = np.array_split(np.argsort(probability, kind="stable"), min(bins, label.size))
    return [{"predicted": float(probability[rows].mean()), "observed": float(label[rows].mean())} for rows in order]


def confusion_table(decision: Labels, label: Labels, names: Sequence[str]) -> list[dict[str, str]]:
    """One record a row, as `dvc plots` wants for its confusion template."""
    return [
        {"actual": names[int(truth)], "predicted": names[int(chosen)]}
        for truth, chosen in zip(label, decision, strict=True)
    ]


def defined(figures: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items() if np.isfinite(value)}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
