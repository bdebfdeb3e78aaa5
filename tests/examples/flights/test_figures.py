"""Figures add up exactly, travel as JSON unchanged, and refuse to count a month twice."""

import json

import pytest
from examples.flights.figures import Figures, Interval, Tally, merge
from hypothesis import given
from hypothesis import strategies as st

numbers = st.integers(min_value=-(10**9), max_value=10**9)
tallies = st.builds(Tally.of, *[numbers] * 6)
groups = st.dictionaries(st.sampled_from(["UA", "DL", "B6"]), tallies)


@st.composite
def parts(draw: st.DrawFn) -> list[Figures]:
    """Figures of several months, each with an interval of its own."""
    count = draw(st.integers(min_value=0, max_value=4))
    delays = st.floats(min_value=-60, max_value=600).map(lambda minutes: round(minutes, 2))
    return [
        Figures(
            tallies={"carrier": draw(groups)},
            intervals={f"all {month}": Interval(low_minutes=draw(delays), high_minutes=draw(delays))},
        )
        for month in range(count)
    ]


@given(parts())
def test_the_order_of_merging_does_not_matter(figures: list[Figures]) -> None:
    assert merge(figures) == merge(reversed(figures))


@given(parts())
def test_merging_step_by_step_equals_merging_at_once(figures: list[Figures]) -> None:
    together = merge([])
    for part in figures:
        together = merge([together, part])
    assert together == merge(figures)


@given(parts())
def test_figures_travel_as_json_unchanged(figures: list[Figures]) -> None:
    merged = merge(figures)
    assert Figures.from_json(json.loads(json.dumps(merged.to_json()))) == merged


def test_a_month_that_comes_twice_is_refused() -> None:
    month = Figures(intervals={"all 3": Interval(low_minutes=1, high_minutes=2)})
    with pytest.raises(ValueError, match="counted twice: all 3"):
        merge([month, month])


def test_means_are_over_the_flights_that_have_a_delay() -> None:
    tally = Tally.of(10, 8, 100, 2, 5, -10)
    assert tally.mean_departure_delay == 12.5
    assert tally.mean_arrival_delay == -2.0
    assert tally.late_share == 0.25
    assert tally.canceled == 2


def test_nothing_that_departed_means_no_delay() -> None:
    tally = Tally(flights=3)
    assert (tally.mean_departure_delay, tally.mean_arrival_delay, tally.late_share) == (0.0, 0.0, 0.0)
