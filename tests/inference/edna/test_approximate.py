"""Shortlists by FAISS beside those of an exact search."""

import numpy as np
import pytest

from anelab.inference.edna import approximate
from anelab.inference.edna.approximate import approximate_search, inverted_lists
from anelab.inference.edna.neighbours import Points, find_neighbours, find_others
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.profiles import KmerSets, kmer_profiles

COUNT = 400


@pytest.fixture(scope="module")
def points() -> Points:
    """Of 400 sequences, ten around each of 40."""
    rng = np.random.default_rng(2)
    roots = rng.integers(0, 4, (COUNT // 10, 200))
    letters = np.repeat(roots, 10, axis=0)
    changed = rng.random(letters.shape) < 0.05
    letters[changed] = rng.integers(0, 4, int(changed.sum()))
    sequences = SequenceArray.of(["".join("ACGT"[code] for code in row) for row in letters])
    return Points(kmer_profiles(sequences, 5), KmerSets.of(sequences, 8))


def with_lists(points: Points) -> Points:
    return Points(points.vectors, points.sets, inverted_lists(points.vectors))


def test_inverted_lists_find_nearly_what_an_exact_search_finds(points: Points) -> None:
    queries = Points(points.vectors[:50], points.sets.take(np.arange(50)))
    exact, found = find_neighbours(queries, points), find_neighbours(queries, with_lists(points))
    assert np.mean(exact.rows[:, :10] == found.rows[:, :10]) > 0.95
    np.testing.assert_array_equal(exact.rows[:, 0], np.arange(50))
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(50))
    there = found.rows >= 0
    assert (found.score[~there] == -1).all()
    cosine = np.take_along_axis(queries.vectors @ points.vectors.T, np.maximum(found.rows, 0), axis=1)
    np.testing.assert_allclose(found.cosine[there], cosine[there], atol=1e-5)


def test_no_reference_is_its_own_neighbour(points: Points) -> None:
    exact, found = find_others(points), find_others(with_lists(points))
    for one in (exact, found):
        assert not (one.rows == np.arange(COUNT)[:, None]).any()
    assert np.mean(exact.rows[:, :5] == found.rows[:, :5]) > 0.95


def test_few_references_are_searched_exactly_and_many_without_faiss_too(
    points: Points, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert approximate_search(points.vectors) is None
    monkeypatch.setattr(approximate, "LARGE", COUNT)
    assert approximate_search(points.vectors) is not None
    monkeypatch.setattr(approximate, "find_spec", lambda name: None)
    assert approximate_search(points.vectors) is None
    assert "pip install 'anelab[faiss]'" in capsys.readouterr().err
