"""Fixtures for what only a real PostgreSQL can show."""

from collections.abc import AsyncIterator, Iterator

import pytest

from schedora.adapters.postgres.engine import Database
from tests.databases import copy_of, migrated_template


@pytest.fixture(scope="session")
def migrated_name(postgres_server_url: str) -> Iterator[str]:
    """The name of a migrated database that stays empty."""
    with migrated_template(postgres_server_url) as name:
        yield name


@pytest.fixture
def migrated_url(postgres_server_url: str, migrated_name: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    with copy_of(postgres_server_url, migrated_name) as url:
        yield url


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    """Open, migrated, empty."""
    async with Database(migrated_url) as opened:
        yield opened
