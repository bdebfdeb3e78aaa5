"""Counting flights: what each number means, and that months put together are the year."""

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from examples.flights.count import LATE_FROM_MINUTES, count
from examples.flights.figures import Figures, Tally, merge
from examples.flights.groups import (
    NO_READING,
    PRECIPITATION_GROUPS,
    VISIBILITY_GROUPS,
    WIND_GROUPS,
    groups_of,
)
from examples.flights.months import MONTHS, month_lines, split_by_month
from examples.flights.source import Flight, Reading, read_flights, read_weather, year_lines

RESAMPLES = 40
"""As the fixture `year` has it: it shows in the intervals."""


def a_flight(**fields: Any) -> Flight:
    flight = Flight(
        month=1,
        day=1,
        hour=5,
        carrier="UA",
        origin="EWR",
        destination="IAH",
        departure_delay_minutes=0,
        arrival_delay_minutes=0,
        time_hour="2013-01-01T10:00:00Z",
    )
    return evolve(flight, **fields)


def a_reading(*, precipitation: float = 0.0, wind: float | None = 8.0, visibility: float = 10.0) -> Reading:
    return Reading(precipitation_inches=precipitation, wind_mph=wind, visibility_miles=visibility)


def test_a_flight_counts_in_every_group_that_it_belongs_to() -> None:
    weather = {("EWR", "2013-01-01T10:00:00Z"): a_reading(precipitation=0.3, wind=30.0, visibility=0.5)}
    figures = count(
        [a_flight(departure_delay_minutes=20, arrival_delay_minutes=-5)], weather, resamples=RESAMPLES
    )
    tally = Tally.of(1, 1, 20, 1, 1, -5)
    assert figures.tallies == {
        "all": {"all": tally},
        "month": {"1": tally},
        "hour": {"5": tally},
        "origin": {"EWR": tally},
        "destination": {"IAH": tally},
        "carrier": {"UA": tally},
        "carrier by month": {"UA 1": tally},
        "carrier by origin": {"UA EWR": tally},
        "precipitation": {"> .25": tally},
        "wind": {"> 25": tally},
        "visibility": {"≤ 1": tally},
    }


@pytest.mark.parametrize(
    ("departure", "arrival", "expected"),
    [
        (None, None, Tally.of(1, 0, 0, 0, 0, 0)),
        (-4, None, Tally.of(1, 1, -4, 0, 0, 0)),
        (LATE_FROM_MINUTES - 1, 3, Tally.of(1, 1, LATE_FROM_MINUTES - 1, 0, 1, 3)),
        (LATE_FROM_MINUTES, 3, Tally.of(1, 1, LATE_FROM_MINUTES, 1, 1, 3)),
    ],
)
def test_what_is_counted_about_a_flight(departure: int | None, arrival: int | None, expected: Tally) -> None:
    flight = a_flight(departure_delay_minutes=departure, arrival_delay_minutes=arrival)
    assert count([flight], {}, resamples=RESAMPLES).total == expected


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (None, {"precipitation": NO_READING, "wind": NO_READING, "visibility": NO_READING}),
        (a_reading(), {"precipitation": "dry", "wind": "≤ 10", "visibility": "> 9"}),
        (a_reading(wind=None), {"wind": NO_READING}),
        (a_reading(precipitation=0.01), {"precipitation": "≤ .02"}),
        (a_reading(precipitation=0.02), {"precipitation": "≤ .02"}),
        (a_reading(precipitation=0.25), {"precipitation": "≤ .25"}),
        (a_reading(wind=0.0), {"wind": "≤ 5"}),
        (a_reading(wind=25.0), {"wind": "≤ 25"}),
        (a_reading(visibility=9.0), {"visibility": "≤ 9"}),
        (a_reading(visibility=0.0), {"visibility": "≤ 1"}),
    ],
)
def test_the_weather_falls_into_one_group_each(reading: Reading | None, expected: dict[str, str]) -> None:
    groups = dict(groups_of(a_flight(), reading))
    assert {grouping: groups[grouping] for grouping in expected} == expected


def test_the_year_has_the_known_means(year: Figures) -> None:
    """As published for this data set, among others in the book R for Data Science."""
    total = year.total
    assert (total.flights, total.departed, total.canceled) == (336_776, 328_521, 8_255)
    assert round(total.mean_departure_delay, 2) == 12.64
    assert round(total.mean_arrival_delay, 2) == 6.90
    origins = {name: round(tally.mean_departure_delay, 1) for name, tally in year.group("origin").items()}
    assert origins == {"EWR": 15.1, "JFK": 12.1, "LGA": 10.3}
    carriers = {name: round(tally.mean_departure_delay, 1) for name, tally in year.group("carrier").items()}
    assert carriers == {
        "9E": 16.7, "AA": 8.6, "AS": 5.8, "B6": 13.0, "DL": 9.3, "EV": 20.0, "F9": 20.2, "FL": 18.7,
        "HA": 4.9, "MQ": 10.6, "OO": 12.6, "UA": 12.1, "US": 3.8, "VX": 12.9, "WN": 17.7, "YV": 19.0,
    }  # fmt: skip


def test_every_flight_is_in_exactly_one_group_of_each_grouping(year: Figures) -> None:
    for grouping, groups in year.tallies.items():
        assert sum(tally.flights for tally in groups.values()) == 336_776, grouping
    assert set(year.group("precipitation")) == {*PRECIPITATION_GROUPS, NO_READING}
    assert set(year.group("wind")) == {*WIND_GROUPS, NO_READING}
    assert set(year.group("visibility")) == {*VISIBILITY_GROUPS, NO_READING}
    assert year.group("visibility")[NO_READING].flights == 1_556


def test_the_months_put_together_are_the_year_to_the_last_digit(year: Figures, tmp_path: Path) -> None:
    split_by_month(year_lines(), tmp_path)
    weather = read_weather()
    months = [
        count(read_flights(month_lines(tmp_path, month)), weather, resamples=RESAMPLES).to_json()
        for month in MONTHS
    ]
    assert merge(Figures.from_json(json.loads(json.dumps(month))) for month in months) == year
    assert max(len(json.dumps(month)) for month in months) < 20_000, "far below what a result may weigh"
