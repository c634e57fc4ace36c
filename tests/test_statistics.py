import math

import numpy as np
from numpy.typing import NDArray

from anelab.statistics import CELLS, Counts, interval, replicates, resamples


def mean_of(values: NDArray[np.float64], groups: NDArray[np.int64], number: int, seed: int) -> tuple[float, float]:
    def figures(counts: Counts) -> dict[str, NDArray[np.float64]]:
        return {"mean": counts @ values / counts.sum(axis=1)}

    return interval(replicates(figures, groups, number, seed)["mean"])


def test_groups_are_drawn_whole_as_often_as_there_are_groups() -> None:
    groups = np.array([7, 3, 7, 3, 3, 9])
    (counts,) = resamples(groups, 500, 0)
    assert counts.shape == (500, 6)
    for unit in (3, 7, 9):
        assert (counts[:, groups == unit] == counts[:, groups == unit][:, :1]).all()
    assert (counts[:, 0] + counts[:, 1] + counts[:, 5] == 3).all()
    assert abs(counts.mean() - 1) < 0.1


def test_many_rows_are_drawn_a_part_at_a_time_and_alike() -> None:
    rows = CELLS // 3
    parts = list(resamples(np.arange(rows), 7, 1))
    assert [len(part) for part in parts] == [3, 3, 1]
    rng = np.random.default_rng([1, 3])
    for line in (line for part in parts for line in part):
        assert (line == np.bincount(rng.integers(0, rows, rows), minlength=rows)).all()


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(100):
        low, high = mean_of(rng.normal(1.0, 1.0, 80), np.arange(80), 300, seed)
        covered += low <= 1.0 <= high
    assert 88 <= covered <= 99


def test_rows_of_one_group_are_not_independent_evidence() -> None:
    values = np.repeat(np.random.default_rng(1).normal(size=30), 20)
    alone = mean_of(values, np.arange(600), 400, 0)
    grouped = mean_of(values, np.repeat(np.arange(30), 20), 400, 0)
    assert grouped[1] - grouped[0] > 3 * (alone[1] - alone[0])


def test_undefined_replicates_are_left_out_and_none_left_means_no_bounds() -> None:
    assert interval(np.array([np.nan, 1.0, np.nan, 1.0])) == (1, 1)
    assert interval(np.full(5, np.nan)) == (-math.inf, math.inf)


def test_a_figure_that_only_some_resamples_have_is_undefined_in_the_others() -> None:
    rows = CELLS // 2

    def figures(counts: Counts) -> dict[str, NDArray[np.float64]]:
        return {"always": counts[:, 0], **({"sometimes": counts[:, 0]} if len(counts) == 2 else {})}

    drawn = replicates(figures, np.arange(rows), 3, 0)
    assert np.isfinite(drawn["sometimes"]).tolist() == [True, True, False]
