"""The groups that a flight is counted in: by time, carrier, airport and the weather it departed into."""

from collections.abc import Iterator

from examples.flights.source import Flight, Reading

NO_READING = "no reading"

_PRECIPITATION = ((0.0, "dry"), (0.02, "≤ .02"), (0.05, "≤ .05"), (0.1, "≤ .1"), (0.25, "≤ .25"))
_WIND = ((5.0, "≤ 5"), (10.0, "≤ 10"), (15.0, "≤ 15"), (20.0, "≤ 20"), (25.0, "≤ 25"))
_VISIBILITY = ((1.0, "≤ 1"), (3.0, "≤ 3"), (6.0, "≤ 6"), (9.0, "≤ 9"))

PRECIPITATION_GROUPS = (*(name for _, name in _PRECIPITATION), "> .25")
"""Inches of rain or melted snow in the hour."""

WIND_GROUPS = (*(name for _, name in _WIND), "> 25")
"""Miles per hour."""

VISIBILITY_GROUPS = (*(name for _, name in _VISIBILITY), "> 9")
"""Miles."""


def groups_of(flight: Flight, reading: Reading | None) -> Iterator[tuple[str, str]]:
    """Yield every grouping with the group that the flight belongs to."""
    yield "all", "all"
    yield "month", str(flight.month)
    yield "hour", str(flight.hour)
    yield "origin", flight.origin
    yield "destination", flight.destination
    yield "carrier", flight.carrier
    yield "carrier by month", f"{flight.carrier} {flight.month}"
    yield "carrier by origin", f"{flight.carrier} {flight.origin}"
    yield "precipitation", _precipitation(reading)
    yield "wind", _wind(reading)
    yield "visibility", _visibility(reading)


def _precipitation(reading: Reading | None) -> str:
    if reading is None:
        return NO_READING
    return _up_to(reading.precipitation_inches, _PRECIPITATION, PRECIPITATION_GROUPS[-1])


def _wind(reading: Reading | None) -> str:
    if reading is None or reading.wind_mph is None:
        return NO_READING
    return _up_to(reading.wind_mph, _WIND, WIND_GROUPS[-1])


def _visibility(reading: Reading | None) -> str:
    return (
        NO_READING
        if reading is None
        else _up_to(reading.visibility_miles, _VISIBILITY, VISIBILITY_GROUPS[-1])
    )


def _up_to(value: float, limits: tuple[tuple[float, str], ...], beyond: str) -> str:
    return next((name for limit, name in limits if value <= limit), beyond)
