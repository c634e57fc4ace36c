"""Figures that several workloads compute, by name, and which way each is better: 1 if high, -1 if low, 0 if neither.

A workload's `Config.figures` holds these and its own.
"""

from collections.abc import Mapping

CLASS_FIGURES: Mapping[str, int] = {"accuracy": 1, "macro_f1": 1, "nll": -1, "ece": -1}
BINARY_FIGURES: Mapping[str, int] = {
    "accuracy": 1,
    "balanced_accuracy": 1,
    "precision": 1,
    "recall": 1,
    "specificity": 1,
    "f1": 1,
    "roc_auc": 1,
    "average_precision": 1,
    "ece": -1,
    "nll": -1,
    "prevalence": 0,
}
