"""The same figures without any scheduler: one process, one pass over the year, no file in between.

`python -m examples.flights.plain RESAMPLES` prints them as JSON.
"""

import json
import sys

from examples.flights.count import count
from examples.flights.figures import Figures
from examples.flights.source import read_flights, read_weather, year_lines


def figures_of_the_year(*, resamples: int) -> Figures:
    """Return the figures of all flights of the year."""
    return count(read_flights(year_lines()), read_weather(), resamples=resamples)


if __name__ == "__main__":
    json.dump(figures_of_the_year(resamples=int(sys.argv[1])).to_json(), sys.stdout)
