"""The 50 features: values by hand, one function for all, and nothing of the label."""

import numpy as np
import pytest
import torch

from anelab.errors import UsageError
from anelab.workloads.splice.features import FEATURES, FORBIDDEN, SCORES, features
from tests.conftest import tiny

DONOR, ACCEPTOR = (0.01, 0.02, 0.6, 0.04, 0.03), (0.001, 0.002, 0.1, 0.004, 0.003)


def scores() -> np.ndarray:
    neither = 1 - np.array(DONOR) - np.array(ACCEPTOR)
    return np.concatenate([DONOR, ACCEPTOR, neither])[None, :]


def test_there_are_fifty_and_none_is_forbidden() -> None:
    assert len(FEATURES) == len(set(FEATURES)) == 50
    assert len(SCORES) == 15
    assert not set(FEATURES) & set(FORBIDDEN)


def test_values_are_those_of_the_formulas() -> None:
    found = dict(zip(FEATURES, features(scores(), np)[0], strict=True))
    d, a, n = 0.6, 0.1, 0.3
    expected = {
        "donor_score": d,
        "neither_score": n,
        "relative_donor_probability": d / (d + a),
        "splice_probability": (d + a) / (d + a + n),
        "donor_acceptor_diff": (d - a) / d,
        "splice_neither_diff": (d - n) / d,
        "donor_acceptor_logodds": np.log(d / a),
        "splice_neither_logodds": np.log((d + a) / n),
        "probability_entropy": -(d * np.log(d) + a * np.log(a) + n * np.log(n)),
        "donor_diff_m1": d - 0.02,
        "donor_diff_p2": d - 0.03,
        "donor_surge_ratio": d / (0.02 + 0.04),
        "donor_is_local_peak": 1.0,
        "acceptor_weighted_context": 0.1 * 0.001 + 0.2 * 0.002 + 0.4 * 0.1 + 0.2 * 0.004 + 0.1 * 0.003,
        "donor_peak_height_ratio": d / 0.025,
        "donor_second_derivative": (d - 0.02) - (0.04 - d),
        "acceptor_signal_strength": a - 0.0025,
        "donor_context_diff_ratio": d / 0.04,
        "donor_acceptor_peak_ratio": (d / 0.025) / (a / 0.0025),
        "type_signal_difference": (d - 0.025) - (a - 0.0025),
        "score_difference_ratio": (d - a) / (d + a),
        "signal_strength_ratio": (d - 0.025) / (a - 0.0025),
        "acceptor_context_score_p1": 0.004,
        "donor_context_neighbor_mean": 0.025,
        "donor_context_asymmetry": (0.01 + 0.02) - (0.04 + 0.03),
        "acceptor_context_max": 0.004,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6), name


def test_numpy_and_torch_agree_and_extremes_stay_finite() -> None:
    rng = np.random.default_rng(0)
    given = rng.random((2000, 15)).astype(np.float32) ** 12
    given[0], given[1] = 0, 1
    given[2, :10], given[2, 10:] = 0, 1
    by_numpy, by_torch = features(given, np), features(torch.from_numpy(given), torch).numpy()
    assert np.isfinite(by_numpy).all()
    error = np.abs(by_numpy - by_torch) / np.maximum(1, np.abs(by_numpy))
    assert error.max() < 1e-6


def test_a_peak_is_above_both_neighbours_and_not_tiny() -> None:
    place = FEATURES.index("donor_is_local_peak")
    given = np.repeat(scores(), 3, axis=0)
    given[1, 1], given[2, :5] = 0.7, [0, 0, 5e-4, 0, 0]
    assert features(given, np)[:, place].tolist() == [1, 0, 0]


@pytest.mark.parametrize("name", ["splice_type", "pred_type", "true_position", "is_correct", "error_type"])
def test_a_column_that_follows_from_the_label_is_no_feature(name: str) -> None:
    with pytest.raises(UsageError, match="follows from the label"):
        tiny(f"splice.data.columns={{donor_p0: {name}}}")
