"""What all explorations share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def quiet() -> Iterator[None]:
    """Thousands of jobs are rescued here."""
    logger = logging.getLogger("schedora.reaper")
    logger.disabled = True
    yield
    logger.disabled = False
