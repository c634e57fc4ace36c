import math

import numpy as np

from anelab.bench.results.quality import difference, interval


def test_paired_replicates_see_what_unpaired_ones_cannot() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.02, 1000)  # rows that both find hard
    ours, theirs = 0.905 + hard + rng.normal(0, 0.001, 1000), 0.90 + hard
    paired = difference(0.905, 0.90, ours, theirs)
    assert not paired.within_noise
    assert paired.significance > 3
    apart = difference(0.905, 0.90, rng.permutation(ours), theirs)
    assert apart.within_noise


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(400):
        sample = rng.normal(0.3, 1, 60)
        drawn = sample[rng.integers(0, 60, (400, 60))].mean(axis=1)
        found = difference(float(sample.mean()), 0.0, drawn, np.zeros(400))
        covered += found.low <= 0.3 <= found.high
    assert 0.91 <= covered / 400 <= 0.98


def test_equal_is_noise_and_a_constant_step_is_certain() -> None:
    same = np.linspace(0, 1, 50)
    assert difference(0.5, 0.5, same, same).within_noise
    assert difference(0.5, 0.5, same, same).significance == 0
    certain = difference(0.75, 0.5, np.full(50, 0.75), np.full(50, 0.5))
    assert certain.significance == math.inf
    assert not certain.within_noise


def test_replicates_that_are_undefined_are_left_out() -> None:
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert interval(np.array([np.nan])) == (-math.inf, math.inf)
    assert difference(1.0, 0.0, np.array([np.nan]), np.array([0.0])).within_noise
