import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anelab.bench.results import trend


def changes(points: list[trend.Point]) -> list[str]:
    return [point.change for point in points]


def test_a_step_is_one_change_and_then_the_new_level() -> None:
    values = [100.0, 101, 99, 100, 130, 131, 129, 130, 131, 100, 101]
    found = trend.times(values)
    assert [at for at, change in enumerate(changes(found)) if change] == [4, 9]
    assert changes(found)[4] == "regression"
    assert changes(found)[9] == "improvement"


def test_a_single_spike_is_marked_and_nothing_after_it() -> None:
    found = trend.times([100.0, 101, 99, 100, 180, 100, 101])
    assert [at for at, change in enumerate(changes(found)) if change] == [4]


def test_less_than_five_per_cent_is_never_a_change_of_times() -> None:
    assert set(changes(trend.times([100.0] * 5 + [104.9]))) == {""}
    assert changes(trend.times([100.0] * 5 + [105.1]))[-1] == "regression"


def test_of_figures_more_is_better_where_it_is() -> None:
    step = [0.9, 0.9, 0.9, 0.91]
    told = [changes(trend.figures(step, direction))[-1] for direction in (1, -1, 0)]
    assert told == ["improvement", "regression", "change"]


def test_nothing_is_said_before_there_is_a_past() -> None:
    found = trend.times([1.0, 100.0, 1.0])
    assert [(point.low, point.high, point.change) for point in found] == [(None, None, "")] * 3
    assert trend.times([]) == []


def test_a_band_is_as_wide_as_its_past_was_noisy() -> None:
    rng = np.random.default_rng(0)
    values = list(np.exp(rng.normal(0, 0.1, 200)))
    found = trend.times(values)
    assert sum(bool(point.change) for point in found) <= 8  # 3 standard deviations, and medians of few


@given(st.lists(st.floats(1e-3, 1e6), max_size=50))
def test_every_value_gets_a_point_and_bands_hold_their_middle(values: list[float]) -> None:
    found = trend.times(values)
    assert [point.value for point in found] == pytest.approx(values)
    assert all(point.low <= point.high for point in found if point.low is not None and point.high is not None)
