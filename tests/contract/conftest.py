"""Each adapter in turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import psycopg
import pytest
import uvloop
from psycopg.sql import SQL, Identifier

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.tables import metadata
from schedora.adapters.redis.link import RedisLink
from tests.contract.memory import a_memory_store, memory_stores
from tests.contract.postgres import postgres_stores
from tests.contract.redis import PREFIX, emptied, redis_stores
from tests.contract.signs import Signs, memory_signs, redis_signs
from tests.contract.stores import Stores
from tests.databases import copy_of
from tests.redis.reaching import reaching
from tests.redis.servers import RedisServer

ON_UVLOOP_TOO = frozenset({"test_events", "test_heartbeats", "test_run_locks", "test_wakeup"})
"""Of ports whose adapters keep connections of their own: processes run on uvloop, where these differ most."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loops on which a test runs."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.stem in ON_UVLOOP_TOO:
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture(scope="session")
def migrated_url(postgres_server_url: str, migrated_name: str) -> Iterator[str]:
    """One database for the whole suite: to make it takes longer than a test."""
    with copy_of(postgres_server_url, migrated_name) as url:
        yield url


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    """Its tables are empty."""
    tables = SQL(", ").join(Identifier(table.name) for table in metadata.sorted_tables)
    async with await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as connection:
        await connection.execute(SQL("TRUNCATE {}").format(tables))
    async with Database(migrated_url, pool_size=8, max_overflow=0) as database:
        yield database


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for the whole suite."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[RedisLink]:
    """To an empty server, and up. What it has in the end expires."""
    with emptied(redis_server):
        async with reaching(redis_server.url, prefix=PREFIX) as link:
            yield link
            assert link.up, "it is away, and what is tested is what does without it"


@pytest.fixture(params=["memory", "postgres", "redis"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """An empty store behind every port."""
    if request.param == "memory":
        return memory_stores(a_memory_store())
    database = request.getfixturevalue("database")
    if request.param == "postgres":
        return postgres_stores(database)
    return redis_stores(database, request.getfixturevalue("link"))


@pytest.fixture(params=["memory", "redis"])
def signs(request: pytest.FixtureRequest) -> Signs:
    """Nobody has given any yet. PostgreSQL has its rows instead."""
    if request.param == "memory":
        return memory_signs()
    return redis_signs(request.getfixturevalue("link"), request.getfixturevalue("redis_server"))
