"""Programs over the memory adapters."""

from collections.abc import Iterator

import pytest

from schedora import Schedora
from tests.unit.entrypoints.sdk.doors import Doors


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
def app(doors: Doors) -> Iterator[Schedora]:
    """Its system is in memory, and ``doors`` tell when it was opened and closed."""
    app = Schedora(connect=doors.connect)
    yield app
    app.close_sync()
