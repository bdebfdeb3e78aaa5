"""Fixtures for what only a real PostgreSQL can show."""

from collections.abc import AsyncIterator

import pytest

from schedora.adapters.postgres.engine import Database


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    """Open, migrated, empty."""
    async with Database(migrated_url) as opened:
        yield opened
