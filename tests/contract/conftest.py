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
from tests.databases import Way, copy_of
from tests.postgres.pooler import Pooler, running_beside
from tests.redis.reaching import reaching
from tests.redis.servers import RedisServer

ON_UVLOOP_TOO = frozenset({"test_events", "test_heartbeats", "test_run_locks", "test_wakeup"})
"""Of ports whose adapters keep connections of their own: processes run on uvloop, where these differ most."""

BEHIND_A_POOLER_TOO = frozenset({"test_job_writer", "test_job_queue", "test_unit_of_work", "test_wakeup"})
"""The hot path, transactions of several statements and of callers, and what sessions are for."""


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
async def database(migrated_url: str, way: Callable[[str], Way]) -> AsyncIterator[Database]:
    """Its tables are empty."""
    await emptied_tables(migrated_url)
    to = way(migrated_url)
    async with Database(to.url, direct_url=to.direct_url, pool_size=8, max_overflow=0) as database:
        yield database


@pytest.fixture
async def pooled_database(migrated_url: str, stand_in: str) -> AsyncIterator[Database]:
    """The same, behind a pooler in transaction mode."""
    await emptied_tables(migrated_url)
    async with Database(stand_in, direct_url=migrated_url, pool_size=8, max_overflow=0) as database:
        yield database


async def emptied_tables(migrated_url: str) -> None:
    tables = SQL(", ").join(Identifier(table.name) for table in metadata.sorted_tables)
    async with await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as connection:
        await connection.execute(SQL("TRUNCATE {}").format(tables))


@pytest.fixture(scope="session")
def stand_in(migrated_url: str) -> Iterator[str]:
    """The URL of a pooler of the tests' own."""
    with running_beside(Pooler(migrated_url, restless=True)) as url:
        yield url


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each store in turn; PostgreSQL behind a pooler as well, for those ports that differ there."""
    if "stores" in metafunc.fixturenames:
        pooled = metafunc.module.__name__.rpartition(".")[2] in BEHIND_A_POOLER_TOO
        kinds = ["memory", "postgres", "redis", *(["pooled"] if pooled else [])]
        metafunc.parametrize("stores", kinds, indirect=True)


@pytest.fixture
def stores(request: pytest.FixtureRequest) -> Stores:
    """An empty store behind every port."""
    if request.param == "memory":
        return memory_stores(a_memory_store())
    if request.param == "pooled":
        return postgres_stores(request.getfixturevalue("pooled_database"))
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
