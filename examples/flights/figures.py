"""The figures: whole numbers by group, which can be added up in any order and always agree to the last digit."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Self

from attrs import astuple, field, frozen


@frozen(kw_only=True)
class Tally:
    """What is counted about a group of flights. Sums of whole minutes, so that adding tallies is exact."""

    flights: int = 0
    departed: int = 0
    departure_minutes: int = 0
    late_departures: int = 0
    arrived: int = 0
    arrival_minutes: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self).of(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def of(cls, *numbers: int) -> Self:
        """Return the tally of the given numbers, in the order of the fields."""
        flights, departed, departure_minutes, late_departures, arrived, arrival_minutes = numbers
        return cls(
            flights=flights,
            departed=departed,
            departure_minutes=departure_minutes,
            late_departures=late_departures,
            arrived=arrived,
            arrival_minutes=arrival_minutes,
        )

    @property
    def mean_departure_delay(self) -> float:
        """Minutes over the flights that departed; 0 where none did."""
        return self.departure_minutes / self.departed if self.departed else 0.0

    @property
    def mean_arrival_delay(self) -> float:
        """Minutes over the flights that arrived; 0 where none did."""
        return self.arrival_minutes / self.arrived if self.arrived else 0.0

    @property
    def late_share(self) -> float:
        """The part of the departed flights that left late, from 0 to 1."""
        return self.late_departures / self.departed if self.departed else 0.0

    @property
    def canceled(self) -> int:
        """Flights that never departed."""
        return self.flights - self.departed


@frozen(kw_only=True)
class Interval:
    """Where a mean departure delay lies with 95 % confidence, in minutes."""

    low_minutes: float
    high_minutes: float


@frozen(kw_only=True)
class Figures:
    """Tallies by grouping and group, and the confidence intervals of the monthly means by series."""

    tallies: Mapping[str, Mapping[str, Tally]] = field(factory=dict)
    intervals: Mapping[str, Interval] = field(factory=dict)

    def group(self, grouping: str) -> Mapping[str, Tally]:
        """Return the tallies of one grouping; KeyError when there is no such grouping."""
        return self.tallies[grouping]

    @property
    def total(self) -> Tally:
        """The tally over all flights."""
        return self.tallies["all"]["all"]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON, read back unchanged by `from_json`."""
        return {
            "tallies": {
                grouping: {group: list(astuple(tally)) for group, tally in groups.items()}
                for grouping, groups in self.tallies.items()
            },
            "intervals": {series: list(astuple(interval)) for series, interval in self.intervals.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the figures that `to_json` wrote."""
        return cls(
            tallies={
                grouping: {group: Tally.of(*numbers) for group, numbers in groups.items()}
                for grouping, groups in document["tallies"].items()
            },
            intervals={
                series: Interval(low_minutes=low, high_minutes=high)
                for series, (low, high) in document["intervals"].items()
            },
        )


def merge(parts: Iterable[Figures]) -> Figures:
    """Return the figures over all parts together.

    Raises ValueError when two parts carry the same series: the same month would be counted twice.
    """
    tallies: dict[str, dict[str, Tally]] = defaultdict(dict)
    intervals: dict[str, Interval] = {}
    for part in parts:
        if twice := intervals.keys() & part.intervals.keys():
            raise ValueError(f"counted twice: {', '.join(sorted(twice))}")
        intervals |= part.intervals
        for grouping, groups in part.tallies.items():
            merged = tallies[grouping]
            for group, tally in groups.items():
                merged[group] = merged.get(group, Tally()) + tally
    return Figures(tallies=dict(tallies), intervals=intervals)
