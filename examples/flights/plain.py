"""The same figures without any scheduler: one process, one pass over the year, no file in between."""

from examples.flights.count import count
from examples.flights.figures import Figures
from examples.flights.source import read_flights, read_weather, year_lines


def figures_of_the_year(*, resamples: int) -> Figures:
    """Return the figures of all flights of the year."""
    return count(read_flights(year_lines()), read_weather(), resamples=resamples)
