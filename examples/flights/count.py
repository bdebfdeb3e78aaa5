"""Counting flights: one pass over any of them, a month or the whole year, gives their figures."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from examples.flights.figures import Figures, Tally
from examples.flights.groups import groups_of
from examples.flights.interval import Day, interval_of_mean
from examples.flights.source import Flight, Reading

LATE_FROM_MINUTES = 15
"""A departure counts as late from here on, as in the statistics of the US Department of Transportation."""

EVERY_CARRIER = "all"


def count(
    flights: Iterable[Flight], weather: Mapping[tuple[str, str], Reading], *, resamples: int
) -> Figures:
    """Return the figures of the flights, each joined with the weather at its origin in its hour."""
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 6)
    days: defaultdict[tuple[int, str], defaultdict[int, list[int]]] = defaultdict(
        lambda: defaultdict(lambda: [0, 0])
    )
    for flight in flights:
        numbers = _numbers(flight)
        for group in groups_of(flight, weather.get((flight.origin, flight.time_hour))):
            row = sums[group]
            for position, number in enumerate(numbers):
                row[position] += number
        if flight.departure_delay_minutes is not None:
            for carrier in (flight.carrier, EVERY_CARRIER):
                day = days[flight.month, carrier][flight.day]
                day[0] += flight.departure_delay_minutes
                day[1] += 1

    tallies: dict[str, dict[str, Tally]] = {}
    for (grouping, name), row in sums.items():
        tallies.setdefault(grouping, {})[name] = Tally.of(*row)
    intervals = {
        series_name(month, carrier): interval_of_mean(
            [Day(minutes=minutes, departed=departed) for _, (minutes, departed) in sorted(by_day.items())],
            seed=series_name(month, carrier),
            resamples=resamples,
        )
        for (month, carrier), by_day in days.items()
    }
    return Figures(tallies=tallies, intervals=intervals)


def series_name(month: int, carrier: str = EVERY_CARRIER) -> str:
    """Return the name of a carrier's series of days in a month."""
    return f"{carrier} {month}"


def _numbers(flight: Flight) -> tuple[int, int, int, int, int, int]:
    departure, arrival = flight.departure_delay_minutes, flight.arrival_delay_minutes
    return (
        1,
        int(departure is not None),
        departure or 0,
        int(departure is not None and departure >= LATE_FROM_MINUTES),
        int(arrival is not None),
        arrival or 0,
    )
