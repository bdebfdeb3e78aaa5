"""The whole year, counted once."""

import pytest
from examples.flights.figures import Figures
from examples.flights.plain import figures_of_the_year

RESAMPLES = 40


@pytest.fixture(scope="session")
def year() -> Figures:
    return figures_of_the_year(resamples=RESAMPLES)
