"""Callers' own connections: what they may be, and what comes through them."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from schedora.adapters.postgres.caller import session_on
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.session import Session as StatementSession
from schedora.adapters.postgres.statements import Statement
from schedora.adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from schedora.application.context import run_without_waiting
from schedora.application.errors import StoreUnavailable
from schedora.domain.ids import JobId
from tests.builders import a_new_job
from tests.contract.postgres import postgres_stores
from tests.postgres.connections import ASYNC, SYNC

VALUES: dict[str, Any] = {
    "text": "a'b%c\\d\u00e9 $1 :x %(p1)s",
    "flag": True,
    "number": 2**40,
    "ratio": 0.1,
    "raw": b"\x00\xff'",
    "uuid": uuid4(),
    "at": datetime(2030, 1, 1, 12, 30, 15, 123456, tzinfo=UTC),
    "nothing": None,
    "texts": ["a", "", None, 'say "{}"', "100%"],
    "uuids": [uuid4(), uuid4()],
    "empty": [],
    "instants": [datetime(2030, 1, 1, tzinfo=UTC), None],
    "raws": [b"", b"\x01"],
    "flags": [True, False],
}
_TYPES = {
    "text": "text", "flag": "bool", "number": "bigint", "ratio": "float8", "raw": "bytea", "uuid": "uuid",
    "at": "timestamptz", "nothing": "text", "texts": "text[]", "uuids": "uuid[]", "empty": "uuid[]",
    "instants": "timestamptz[]", "raws": "bytea[]", "flags": "bool[]",
}  # fmt: skip
ECHO = Statement(
    "select "
    + ", ".join(f"${n}::{_TYPES[name]} as {name}" for n, name in enumerate(VALUES, start=1))
    + ", '100%' as percent",
    tuple(VALUES),
)
ELSEWHERE = Statement("select set_config('timezone', 'Asia/Kathmandu', true) as zone", ())


@pytest.fixture
def units(database: Database) -> PostgresUnitOfWorkFactory:
    return PostgresUnitOfWorkFactory(database)


async def check_echo(session: StatementSession) -> None:
    assert await session.fetch(Statement("savepoint here", ())) == []
    await session.fetch(ELSEWHERE)
    [row] = await session.fetch(ECHO, **VALUES)
    assert {name: row[name] for name in VALUES} == VALUES
    assert row["at"].utcoffset() == row["instants"][0].utcoffset() == timedelta(0)
    assert type(row["raw"]) is type(row["raws"][0]) is bytes
    assert row["percent"] == "100%"


@pytest.mark.parametrize("transaction", ASYNC)
async def test_values_go_and_come_as_they_are(
    migrated_url: str, transaction: Callable[[str], AbstractAsyncContextManager[object]]
) -> None:
    async with transaction(migrated_url) as connection:
        await check_echo(session_on(connection))


@pytest.mark.parametrize("transaction", SYNC)
def test_values_go_and_come_as_they_are_without_an_event_loop(
    migrated_url: str, transaction: Callable[[str], AbstractContextManager[object]]
) -> None:
    with transaction(migrated_url) as connection:
        run_without_waiting(check_echo(session_on(connection)))


async def add_one(units: PostgresUnitOfWorkFactory, connection: object) -> JobId:
    new = a_new_job()
    async with units.join(connection) as unit:
        await unit.jobs.add([new])
    return new.job_id


@contextmanager
def psycopg_of_dictionaries(url: str) -> Iterator[object]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        yield connection


@contextmanager
def psycopg_in_a_block(url: str) -> Iterator[object]:
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        yield connection


@contextmanager
def psycopg2_of_dictionaries(url: str) -> Iterator[object]:
    connection = psycopg2.connect(url, cursor_factory=psycopg2.extras.RealDictCursor)
    with connection:
        yield connection
    connection.close()


@contextmanager
def psycopg2_in_a_block(url: str) -> Iterator[object]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("begin")
        yield connection
        cursor.execute("commit")
    connection.close()


@contextmanager
def sqlalchemy_that_begins_by_itself(url: str) -> Iterator[object]:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        yield connection
        connection.commit()
    engine.dispose()


@contextmanager
def scoped_sqlalchemy_session(url: str) -> Iterator[object]:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    session = scoped_session(sessionmaker(engine))
    yield session
    session.commit()
    session.remove()
    engine.dispose()


@contextmanager
def subclassed_session(url: str) -> Iterator[object]:
    class OurSession(Session):
        pass

    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with OurSession(engine) as session:
        yield session
        session.commit()
    engine.dispose()


OTHER_SYNC = [
    psycopg_of_dictionaries,
    psycopg_in_a_block,
    psycopg2_of_dictionaries,
    psycopg2_in_a_block,
    sqlalchemy_that_begins_by_itself,
    scoped_sqlalchemy_session,
    subclassed_session,
]


@pytest.mark.parametrize("transaction", OTHER_SYNC)
async def test_a_connection_works_however_it_is_set_up(
    database: Database,
    migrated_url: str,
    units: PostgresUnitOfWorkFactory,
    transaction: Callable[[str], AbstractContextManager[object]],
) -> None:
    stores = postgres_stores(database)
    with transaction(migrated_url) as connection:
        job_id = run_without_waiting(add_one(units, connection))
        assert await stores.job_reader.get(job_id) is None
    assert await stores.job_reader.get(job_id) is not None


@asynccontextmanager
async def scoped_async_session(url: str) -> AsyncIterator[object]:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    session = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: 1)
    yield session
    await session.commit()
    await session.remove()
    await engine.dispose()


@asynccontextmanager
async def psycopg_async_in_a_block(url: str) -> AsyncIterator[object]:
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
        connection.transaction(),
    ):
        yield connection


@pytest.mark.parametrize("transaction", [scoped_async_session, psycopg_async_in_a_block])
async def test_an_asynchronous_connection_works_however_it_is_set_up(
    database: Database,
    migrated_url: str,
    units: PostgresUnitOfWorkFactory,
    transaction: Callable[[str], AbstractAsyncContextManager[object]],
) -> None:
    stores = postgres_stores(database)
    async with transaction(migrated_url) as connection:
        job_id = await add_one(units, connection)
        assert await stores.job_reader.get(job_id) is None
    assert await stores.job_reader.get(job_id) is not None


async def test_a_savepoint_of_the_callers_takes_the_jobs_back_with_it(
    database: Database, migrated_url: str, units: PostgresUnitOfWorkFactory
) -> None:
    connection = await asyncpg.connect(migrated_url)
    async with connection.transaction():
        kept = await add_one(units, connection)
        savepoint = connection.transaction()
        await savepoint.start()
        undone = await add_one(units, connection)
        await savepoint.rollback()
    await connection.close()
    reader = postgres_stores(database).job_reader
    assert await reader.get(kept) is not None
    assert await reader.get(undone) is None


@asynccontextmanager
async def asyncpg_alone(url: str) -> AsyncIterator[object]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@asynccontextmanager
async def psycopg_async_autocommit(url: str) -> AsyncIterator[object]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def sqlalchemy_async_autocommit(url: str) -> AsyncIterator[object]:
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://"), isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


@asynccontextmanager
async def sqlalchemy_async_session_autocommit(url: str) -> AsyncIterator[object]:
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


@pytest.mark.parametrize(
    "transaction",
    [asyncpg_alone, psycopg_async_autocommit, sqlalchemy_async_autocommit, sqlalchemy_async_session_autocommit],
)  # fmt: skip
async def test_a_connection_with_no_transaction_is_refused_with_what_to_do(
    migrated_url: str,
    units: PostgresUnitOfWorkFactory,
    transaction: Callable[[str], AbstractAsyncContextManager[object]],
) -> None:
    async with transaction(migrated_url) as connection:
        with pytest.raises(ValueError, match=r"no transaction is open .*: (async with|leave)"):
            await add_one(units, connection)


@contextmanager
def psycopg_autocommit(url: str) -> Iterator[object]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@contextmanager
def psycopg2_autocommit(url: str) -> Iterator[object]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    yield connection
    connection.close()


@contextmanager
def sqlalchemy_autocommit(url: str) -> Iterator[object]:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection
    engine.dispose()


@contextmanager
def sqlalchemy_session_autocommit(url: str) -> Iterator[object]:
    engine = sqlalchemy.create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.mark.parametrize(
    "transaction",
    [psycopg_autocommit, psycopg2_autocommit, sqlalchemy_autocommit, sqlalchemy_session_autocommit],
)
def test_a_synchronous_connection_with_no_transaction_is_refused_with_what_to_do(
    migrated_url: str, transaction: Callable[[str], AbstractContextManager[object]]
) -> None:
    units = PostgresUnitOfWorkFactory(Database(migrated_url))
    with (
        transaction(migrated_url) as connection,
        pytest.raises(ValueError, match=r"no transaction is open .*: leave"),
    ):
        run_without_waiting(add_one(units, connection))
    with psycopg.connect(migrated_url) as connection:
        assert connection.execute("select from jobs").fetchall() == [], "half-written"


def test_what_is_no_connection_is_refused_with_what_to_give(migrated_url: str) -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with psycopg.connect(migrated_url) as connection, connection.cursor() as cursor:
        for wrong in (None, "postgresql://h/d", object(), engine, cursor, asyncpg, sessionmaker(engine)):
            with pytest.raises(TypeError, match=r"can't carry jobs: give a connection of asyncpg, psycopg"):
                session_on(wrong)


def test_sqlalchemy_on_another_database_is_refused_with_what_to_use() -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection, Session(engine) as session:
        for wrong in (connection, session):
            with pytest.raises(
                TypeError, match=r"sqlite\+pysqlite can't carry jobs: use postgresql\+asyncpg"
            ):
                session_on(wrong)
    engine.dispose()


async def test_a_connection_that_is_gone_is_told_as_such(migrated_url: str) -> None:
    pool = await asyncpg.create_pool(migrated_url, min_size=1, max_size=1)
    connection = await pool.acquire()
    await pool.release(connection)
    with pytest.raises(StoreUnavailable, match="the given connection is closed"):
        session_on(connection)
    await pool.close()


def test_a_transaction_broken_by_its_caller_is_not_hidden(migrated_url: str) -> None:
    units = PostgresUnitOfWorkFactory(Database(migrated_url))
    with psycopg.connect(migrated_url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1 / 0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            run_without_waiting(add_one(units, connection))
        connection.rollback()


@pytest.mark.parametrize("transaction", SYNC)
def test_a_lost_connection_makes_the_store_unavailable(
    migrated_url: str, transaction: Callable[[str], AbstractContextManager[object]]
) -> None:
    units = PostgresUnitOfWorkFactory(Database(migrated_url))
    its_end_fails_too = suppress(psycopg.Error, psycopg2.Error, sqlalchemy.exc.SQLAlchemyError)
    with its_end_fails_too, transaction(migrated_url) as connection:
        me = Statement("select pg_backend_pid() as pid", ())
        [row] = run_without_waiting(session_on(connection).fetch(me))
        with psycopg.connect(migrated_url, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", [row["pid"]])
        with pytest.raises(StoreUnavailable, match="the database of the given connection"):
            run_without_waiting(add_one(units, connection))
