"""Our figures against scikit-learn's, on any probabilities and labels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from anelab.learning import metrics

scored = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.99, 1.0]), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({label for _, label in rows}) == 2)


@given(scored)
def test_binary_figures_agree_with_the_reference(rows: list[tuple[float, bool]]) -> None:
    score, label = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    figures = metrics.binary_figures(score, label)
    decision = score >= 0.5
    assert figures["roc_auc"] == pytest.approx(reference.roc_auc_score(label, score))
    assert figures["average_precision"] == pytest.approx(reference.average_precision_score(label, score))
    assert figures["accuracy"] == pytest.approx(reference.accuracy_score(label, decision))
    if decision.any():
        assert figures["precision"] == pytest.approx(reference.precision_score(label, decision))
    else:
        assert "precision" not in figures
    assert figures["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(label, decision))
    assert figures["specificity"] == pytest.approx(reference.recall_score(~label, ~decision))
    assert figures["recall"] == pytest.approx(reference.recall_score(label, decision))
    assert figures["f1"] == pytest.approx(reference.f1_score(label, decision))
    table = metrics.confusion(decision.astype(int), label.astype(int), 2)
    assert (table == reference.confusion_matrix(label, decision)).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_class_figures_agree_with_the_reference(rows: list[tuple[int, int]]) -> None:
    decision, label = (np.array(column) for column in zip(*rows, strict=True))
    probability = np.full((len(rows), 4), 0.1)
    probability[np.arange(len(rows)), decision] = 0.7
    figures = metrics.class_figures(probability, label)
    assert figures["accuracy"] == pytest.approx(reference.accuracy_score(label, decision))
    present = sorted({*decision.tolist(), *label.tolist()})
    assert figures["macro_f1"] == pytest.approx(reference.f1_score(label, decision, labels=present, average="macro"))
    assert figures["nll"] == pytest.approx(reference.log_loss(label, probability, labels=range(4)))


def test_a_figure_that_one_class_leaves_undefined_is_absent() -> None:
    figures = metrics.binary_figures(np.array([0.2, 0.9]), np.array([True, True]))
    assert "roc_auc" not in figures
    assert "balanced_accuracy" not in figures
    assert figures["recall"] == 0.5


def test_calibration_error_is_zero_for_perfect_and_known_for_shifted_probabilities() -> None:
    probability = np.repeat(np.linspace(0.05, 0.95, 10), 1000)
    label = np.tile(np.arange(1000), 10) < probability * 1000
    assert metrics.expected_calibration_error(probability, label, bins=10) < 1e-3
    assert metrics.expected_calibration_error(probability - 0.05, label, bins=10) == pytest.approx(0.05, abs=1e-3)


def drawn(rows: int) -> tuple[Any, list[Any]]:
    """Counts of six resamples, and their rows."""
    counts = np.random.default_rng(rows).multinomial(rows, np.full(rows, 1 / rows), 6)
    return counts.astype(float), [np.repeat(np.arange(rows), line) for line in counts]


@given(st.lists(st.booleans(), min_size=3, max_size=80), st.integers(0, 1000))
def test_replicates_are_the_figures_of_the_rows_drawn(truth: list[bool], seed: int) -> None:
    score, label = np.random.default_rng(seed).random(len(truth)), np.array(truth)
    counts, chosen = drawn(len(truth))
    found = metrics.binary_replicates(score, label, counts)
    for place, rows in enumerate(chosen):
        alone = metrics.binary_figures(score[rows], label[rows])
        defined = {name: values[place] for name, values in found.items() if np.isfinite(values[place])}
        assert defined == pytest.approx(alone)


@given(st.lists(st.integers(0, 3), min_size=3, max_size=80), st.integers(0, 1000))
def test_replicates_of_classes_are_the_figures_of_the_rows_drawn(truth: list[int], seed: int) -> None:
    probability, label = np.random.default_rng(seed).dirichlet(np.ones(4), len(truth)), np.array(truth)
    counts, chosen = drawn(len(truth))
    found = metrics.class_replicates(probability, label, counts)
    for place, rows in enumerate(chosen):
        alone = metrics.class_figures(probability[rows], label[rows])
        assert {name: values[place] for name, values in found.items()} == pytest.approx(alone)
