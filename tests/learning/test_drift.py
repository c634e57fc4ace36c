"""The population stability index against its formula, and on rows that do and do not differ."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anelab.learning.drift import LEAST_SHARE, PROJECTIONS, describe_rows, features_of, read_reference

RNG = np.random.default_rng(5)


def test_psi_is_the_sum_over_deciles() -> None:
    train, now = RNG.normal(size=(5000, 1)), RNG.normal(0.5, 1.2, size=(4000, 1))
    reference = read_reference(json.loads(json.dumps(describe_rows(train))))
    edges = np.quantile(train[:, 0], np.linspace(0, 1, 11), method="nearest")
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])

    def shares(values: np.ndarray) -> np.ndarray:
        return np.histogram(values, bounds)[0] / len(values)

    then, here = (np.maximum(shares(values[:, 0]), LEAST_SHARE) for values in (train, now))
    expected = ((here - then) * np.log(here / then)).sum()
    assert reference.psi(reference.counts(now))[0] == pytest.approx(expected, abs=0.02)
    assert expected > 0.2


def test_rows_that_do_not_differ_give_what_chance_gives() -> None:
    reference = read_reference(describe_rows(RNG.normal(size=(10_000, 50)).astype(np.float32)))
    found = reference.psi(reference.counts(RNG.normal(size=(500, 50)).astype(np.float32)))
    assert found.mean() == pytest.approx(reference.noise(500), rel=0.5)
    assert found.mean() < 0.1


def test_a_value_that_training_never_had_is_seen_on_either_side() -> None:
    reference = read_reference(describe_rows(np.full((1000, 3), 7, np.uint8)))
    same = reference.psi(reference.counts(np.full((100, 3), 7, np.uint8)))
    assert same.tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    for other in (6, 8):
        assert (reference.psi(reference.counts(np.full((100, 3), other, np.uint8))) > 5).all()


def test_decimals_of_a_manifest_are_the_same_floats() -> None:
    rows = (RNG.integers(0, 17, (3000, 6)) / 255 * 16).astype(np.float32)
    reference = read_reference(json.loads(json.dumps(describe_rows(rows))))
    assert reference.psi(reference.counts(rows)) == pytest.approx([0] * 6, abs=1e-3)


def test_bytes_keep_their_own_edges() -> None:
    rows = RNG.integers(0, 256, (2000, 4), np.uint8)
    described = describe_rows(rows)
    assert described["features"][0]["edges"].split()[0] == str(rows[:, 0].min())
    assert all(text.isdigit() for feature in described["features"] for text in feature["edges"].split())


def test_inputs_of_many_features_are_projected() -> None:
    rows = RNG.normal(size=(3000, 40, 40)).astype(np.float32)
    described = describe_rows(rows)
    assert (described["projected"], len(described["features"])) == (True, PROJECTIONS)
    reference = read_reference(described)
    assert reference.psi(reference.counts(rows[:1000])).mean() < 0.1
    assert reference.psi(reference.counts(rows[:1000] + 0.5)).mean() > 0.1
    assert np.allclose(features_of(rows[:1], True)[0, :4], [-1.4, 0, 0, 0], atol=10)


@given(st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=1, max_size=60))
def test_every_row_is_in_one_bin(values: list[list[int]]) -> None:
    rows = np.array(values, np.float32)
    reference = read_reference(describe_rows(rows))
    assert (reference.counts(rows).sum(axis=1) == len(rows)).all()
    assert reference.shares.sum(axis=1) == pytest.approx([1, 1], abs=1e-3)
    assert reference.psi(reference.counts(rows)) == pytest.approx([0, 0], abs=1e-2)


def test_a_reference_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="3 counts for 2 edges"):
        read_reference({"features": [{"edges": "1 2", "counts": "0 1 0"}], "rows": 9, "projected": False})
