"""Figures of predicted probabilities, in NumPy, of one set of rows or of many bootstrap resamples at once.

`probability` is float [n] in [0, 1], `label` bool or integer [n]. `counts`, [k, n], says how often each of k resamples
has each row; figures are then float64 [k]. A figure that the labels leave undefined (one class only) is NaN, never a
guess; of one set of rows it is left out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any] | np.bool_]
Counts = NDArray[np.float64]
Resampled = NDArray[np.float64]
BINS = 15
"""Of equal mass, for calibration."""


def binary_figures(probability: Floats, label: Labels) -> dict[str, float]:
    """Those of `binary_replicates` that are defined."""
    return _of_one(binary_replicates(probability, label, _once(label)))


def binary_replicates(probability: Floats, label: Labels, counts: Counts) -> dict[str, Resampled]:
    """At 0.5: accuracy, balanced accuracy, precision, recall, specificity, F1; then ROC-AUC, average
    precision, ECE, negative log-likelihood and the prevalence."""
    positive, passes = label.astype(bool), probability >= 0.5
    loss = -np.log(np.maximum(np.where(positive, probability, 1 - probability), 1e-12))
    cells = [passes & positive, passes & ~positive, ~passes & positive, ~passes & ~positive, loss]
    true_positive, false_positive, false_negative, true_negative, losses = (counts @ np.stack(cells, axis=1)).T
    rows, positives = counts.sum(axis=1), true_positive + false_negative
    recall, specificity = _ratio(true_positive, positives), _ratio(true_negative, true_negative + false_positive)
    return {
        "accuracy": (true_positive + true_negative) / rows,
        "balanced_accuracy": (recall + specificity) / 2,
        "precision": _ratio(true_positive, true_positive + false_positive),
        "recall": recall,
        "specificity": specificity,
        "f1": _ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative),
        **_ranking(probability, label, counts),
        "ece": _calibration_error(probability, label, counts, BINS),
        "nll": losses / rows,
        "prevalence": positives / rows,
    }


def class_figures(probability: Floats, label: Labels) -> dict[str, float]:
    """Those of `class_replicates` that are defined."""
    return _of_one(class_replicates(probability, label, _once(label)))


def class_replicates(probability: Floats, label: Labels, counts: Counts) -> dict[str, Resampled]:
    """Accuracy, macro F1, negative log-likelihood and ECE of the top class; probability is [n, classes]."""
    decision, rows, classes = probability.argmax(axis=1), counts.sum(axis=1), probability.shape[1]
    hit = decision == label
    hits = _by_class(counts * hit, label, classes)
    sizes = _by_class(counts, label, classes) + _by_class(counts, decision, classes)
    chosen = probability[np.arange(label.size), label]
    return {
        "accuracy": counts @ hit / rows,
        "macro_f1": (2 * hits / np.maximum(sizes, 1)).sum(axis=1) / (sizes > 0).sum(axis=1),
        "nll": counts @ -np.log(np.maximum(chosen, 1e-12)) / rows,
        "ece": _calibration_error(probability.max(axis=1), hit, counts, BINS),
    }


def confusion(decision: Labels, label: Labels, classes: int) -> NDArray[np.int64]:
    """Counts [true class, decided class]."""
    cells = label.astype(np.int64) * classes + decision.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def roc_auc(score: Floats, label: Labels) -> float:
    """Probability that a positive outranks a negative, ties counting half (Mann-Whitney U)."""
    return float(_ranking(score, label, _once(label))["roc_auc"][0])


def average_precision(score: Floats, label: Labels) -> float:
    """Sum of precision times the step in recall over distinct thresholds, without interpolation."""
    return float(_ranking(score, label, _once(label))["average_precision"][0])


def average_precision_replicates(score: Floats, label: Labels, counts: Counts) -> Resampled:
    """`average_precision` of each resample."""
    return _ranking(score, label, counts)["average_precision"]


def expected_calibration_error(probability: Floats, label: Labels, bins: int = BINS) -> float:
    """Mean distance between probability and frequency over bins of equal mass."""
    return float(_calibration_error(probability, label, _once(label), bins)[0])


def _once(label: Labels) -> Counts:
    """Every row once."""
    return np.ones((1, label.size))


def _of_one(figures: dict[str, Resampled]) -> dict[str, float]:
    return defined({name: values[0] for name, values in figures.items()})


def _ranking(score: Floats, label: Labels, counts: Counts) -> dict[str, Resampled]:
    order = np.argsort(score, kind="stable")
    distinct = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))
    positive, counts = label[order].astype(bool), counts[:, order]
    positives = np.add.reduceat(counts * positive, distinct, axis=1)
    negatives = np.add.reduceat(counts * ~positive, distinct, axis=1)
    of_positives, of_negatives = positives.sum(axis=1), negatives.sum(axis=1)
    outranked = np.cumsum(negatives, axis=1) - negatives / 2
    hits = np.cumsum(positives[:, ::-1], axis=1)
    above = hits + np.cumsum(negatives[:, ::-1], axis=1)
    precision = hits / np.maximum(above, 1)
    return {
        "roc_auc": _ratio((positives * outranked).sum(axis=1), of_positives * of_negatives),
        "average_precision": _ratio((precision * positives[:, ::-1]).sum(axis=1), of_positives),
    }


def _calibration_error(probability: Floats, label: Labels, counts: Counts, bins: int) -> Resampled:
    order = np.argsort(probability, kind="stable")
    gap, counts = probability[order].astype(np.float64) - label[order], counts[:, order]
    gaps, ranks = np.cumsum(counts * gap, axis=1), np.cumsum(counts, axis=1)
    rows = ranks[:, -1]
    edges = np.linspace(0, rows, bins + 1, axis=1).round()
    at = _first_at_least(ranks, edges)
    with np.errstate(invalid="ignore"):  # an infinite probability makes it NaN
        sums = np.take_along_axis(gaps, at, axis=1) - (np.take_along_axis(ranks, at, axis=1) - edges) * gap[at]
        error: Resampled = np.abs(np.diff(sums, axis=1)).sum(axis=1) / rows
    return error


def _first_at_least(ranks: Counts, wanted: Counts) -> NDArray[np.int64]:
    """In each line of `ranks`, [k, n], which never falls, the first place of at least each `wanted`, [k, m]."""
    lines, places = ranks.shape
    apart = np.arange(lines)[:, None] * (ranks.max() + 1)
    found = np.searchsorted((ranks + apart).ravel(), (wanted + apart).ravel()).reshape(wanted.shape)
    first: NDArray[np.int64] = found - np.arange(lines)[:, None] * places
    return first


def _by_class(counts: Counts, of: Labels, classes: int) -> Counts:
    """Sums of `counts`, [k, n], over the rows of each class, [k, classes]."""
    order = np.argsort(of, kind="stable")
    present, starts = np.unique(of[order], return_index=True)
    sums = np.zeros((len(counts), classes))
    sums[:, present] = np.add.reduceat(counts[:, order], starts, axis=1)
    return sums


def calibration_table(probability: Floats, label: Labels, bins: int = BINS) -> list[dict[str, float]]:
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


def _ratio(part: Resampled, whole: Resampled) -> Resampled:
    """NaN where there is no whole."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
