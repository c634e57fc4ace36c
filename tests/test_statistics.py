import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anelab.statistics import _spans, grouped_bootstrap


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), min_size=1, max_size=20))
def test_spans_are_the_runs_one_after_the_other(runs: list[tuple[int, int]]) -> None:
    starts, sizes = (np.array(column) for column in zip(*runs, strict=True))
    expected = [value for start, size in runs for value in range(start, start + size)]
    assert _spans(starts, sizes).tolist() == expected


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(100):
        values = rng.normal(1.0, 1.0, 80)
        interval = grouped_bootstrap(lambda rows, v=values: float(v[rows].mean()), np.arange(80), 300, seed)
        covered += interval.low <= 1.0 <= interval.high
    assert 88 <= covered <= 99


def test_rows_of_one_group_are_not_independent_evidence() -> None:
    values = np.repeat(np.random.default_rng(1).normal(size=30), 20)
    alone = grouped_bootstrap(lambda rows: float(values[rows].mean()), np.arange(600), 400, 0)
    grouped = grouped_bootstrap(lambda rows: float(values[rows].mean()), np.repeat(np.arange(30), 20), 400, 0)
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)
    assert grouped.point == alone.point


def test_a_paired_difference_of_equal_sides_is_exactly_zero() -> None:
    scores = np.random.default_rng(2).random(50)
    interval = grouped_bootstrap(lambda rows: float((scores[rows] - scores[rows]).mean()), np.arange(50), 100, 0)
    assert (interval.low, interval.point, interval.high) == (0, 0, 0)


def test_undefined_replicates_are_left_out_and_none_left_means_no_bounds() -> None:
    interval = grouped_bootstrap(lambda rows: float("nan"), np.arange(5), 100, 0)
    assert (interval.low, interval.high) == (float("-inf"), float("inf"))
