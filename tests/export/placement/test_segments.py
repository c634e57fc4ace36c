"""The cheapest way through a chain of operators."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anelab.export.placement.segments import Estimate, cheapest_way, cost_of

ESTIMATES = st.lists(
    st.builds(Estimate, st.none() | st.floats(0, 1, width=16), st.floats(0, 1, width=16)), min_size=1, max_size=7
)


@given(ESTIMATES)
def test_no_way_is_cheaper(estimates: list[Estimate]) -> None:
    """Against all ways there are."""
    found = cheapest_way(estimates)
    least = min(cost_of(estimates, way) for way in product((True, False), repeat=len(estimates)))
    assert found.cost_ms == pytest.approx(least, abs=1e-5)
    assert cost_of(estimates, found.on_engine) == pytest.approx(least, abs=1e-5)


@pytest.mark.parametrize(
    ("savings", "on_engine"),
    [
        ([0.249], [False]),
        ([0.251], [True]),
        ([None, 0.374, None], [False, False, False]),
        ([None, 0.376, None], [False, True, False]),
        ([None, 0.251], [False, False]),
        ([0.251, None], [True, False]),
    ],
    ids=["too small a model", "whole", "middle, too small", "middle", "end, too small", "start"],
)
def test_a_segment_must_save_what_entering_and_leaving_cost(savings: list[float | None], on_engine: list[bool]) -> None:
    """At the end of a program it is entered, crossed into and left: 0.375 ms; at the start 0.25 ms."""
    estimates = [Estimate(None if one is None else 0.0, 1.0 if one is None else one) for one in savings]
    assert list(cheapest_way(estimates).on_engine) == on_engine


def test_an_operator_that_costs_the_same_on_both_sides_stays_and_is_named() -> None:
    found = cheapest_way([Estimate(0.0, 1.0), Estimate(0.01, 0.01)])
    assert found.on_engine == (True, True)
    assert found.ties == (1,)


def test_a_program_without_operators_costs_nothing() -> None:
    assert cheapest_way([]).cost_ms == 0
