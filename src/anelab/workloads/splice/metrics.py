"""Figures of three chances a row, of one set of rows or of many bootstrap resamples at once (learning/metrics.py)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.learning.metrics import average_precision_replicates, class_replicates, defined
from anelab.workloads.splice.features import LABELS

TOP = (10, 50, 100, 500)
BINS = 15
Resampled = Mapping[str, NDArray[np.float64]]


def splice_figures(probability: NDArray[Any], targets: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Those that are defined."""
    once = np.ones((1, len(probability)))
    return defined({name: values[0] for name, values in splice_replicates(probability, targets, once).items()})


def splice_replicates(
    probability: NDArray[Any], targets: Mapping[str, NDArray[Any]], counts: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """`probability` [n, 3]; targets `label` [n], and `candidate` [n], whether the base model sees a site there;
    `counts` [k, n], how often each of k resamples has each row."""
    label, candidate = targets["label"], targets["candidate"].astype(bool)
    figures = dict(class_replicates(probability, label, counts))
    found: dict[str, NDArray[np.float64]] = {}
    for place, name in enumerate(LABELS):
        found[f"ap_{name}"] = average_precision_replicates(probability[:, place], label == place, counts)
    found["pr_auc_splice"] = (found["ap_donor"] + found["ap_acceptor"]) / 2
    for place, name in enumerate(LABELS[:2]):
        found |= _top(probability[:, place], label == place, counts, name)
    one_hot = np.eye(len(LABELS))[label]
    found |= {name: figures[name] for name in ("accuracy", "macro_f1", "nll", "ece")}
    found["brier"] = counts @ ((probability - one_hot) ** 2).sum(axis=1) / counts.sum(axis=1)
    found["ece_equal_width"] = _equal_width_error(probability, label, counts)
    if candidate.any():
        found["ece_candidates"] = class_replicates(probability[candidate], label[candidate], counts[:, candidate])[
            "ece"
        ]
    return found


def _top(
    score: NDArray[Any], positive: NDArray[np.bool_], counts: NDArray[np.float64], name: str
) -> dict[str, NDArray[np.float64]]:
    """Share of true sites among the k highest scores, of equal scores the share of all of them; k of `topk` is the
    number of true sites."""
    order = np.argsort(-score, kind="stable")
    distinct = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))
    rows = np.add.reduceat(counts[:, order], distinct, axis=1)
    hits = np.add.reduceat(counts[:, order] * positive[order], distinct, axis=1)
    sites = hits.sum(axis=1)
    return {
        f"topk_acc_{name}": _share(rows, hits, sites),
        **{f"top{k}_acc_{name}": _share(rows, hits, np.full(len(counts), float(k))) for k in TOP},
    }


def _share(rows: NDArray[np.float64], hits: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of `rows` and `hits` by falling score, [k, scores]. NaN where there are fewer rows, or none is wanted."""
    lines, drawn, found = np.arange(len(rows)), np.cumsum(rows, axis=1), np.cumsum(hits, axis=1)
    at = np.minimum((drawn < wanted[:, None]).sum(axis=1), rows.shape[1] - 1)
    beyond = (drawn[lines, at] - wanted) * hits[lines, at] / np.maximum(rows[lines, at], 1)
    enough = (drawn[:, -1] >= wanted) & (wanted > 0)
    return np.where(enough, (found[lines, at] - beyond) / np.maximum(wanted, 1), np.nan)


def _equal_width_error(
    probability: NDArray[Any], label: NDArray[Any], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the class with the highest chance, over BINS bins of equal width."""
    top = probability.max(axis=1)
    gap = top - (probability.argmax(axis=1) == label)
    bins = np.minimum((np.nan_to_num(top) * BINS).astype(np.int64), BINS - 1)
    sums: NDArray[np.float64] = counts @ (np.eye(BINS)[bins] * gap[:, None])
    found: NDArray[np.float64] = np.abs(sums).sum(axis=1) / counts.sum(axis=1)
    return found
