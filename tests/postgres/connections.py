"""Callers' own connections of every kind, each with a transaction open that commits on a clean exit."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import psycopg
import psycopg2
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from schedora.adapters.postgres.sync_match import listener_lock_key
from schedora.domain.ids import IncarnationId


@asynccontextmanager
async def asyncpg_connection(url: str) -> AsyncIterator[object]:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def pooled_asyncpg(url: str) -> AsyncIterator[object]:
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        yield connection


@asynccontextmanager
async def psycopg_async(url: str) -> AsyncIterator[object]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield connection


@asynccontextmanager
async def sqlalchemy_async(url: str) -> AsyncIterator[object]:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


@asynccontextmanager
async def sqlalchemy_async_session(url: str) -> AsyncIterator[object]:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        async with AsyncSession(engine) as session, session.begin():
            yield session
    finally:
        await engine.dispose()


@contextmanager
def psycopg_sync(url: str) -> Iterator[object]:
    with psycopg.connect(url) as connection:
        yield connection


@contextmanager
def psycopg2_sync(url: str) -> Iterator[object]:
    connection = psycopg2.connect(url)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


@contextmanager
def sqlalchemy_sync(url: str) -> Iterator[object]:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def sqlalchemy_sync_session(url: str) -> Iterator[object]:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    try:
        with Session(engine) as session, session.begin():
            yield session
    finally:
        engine.dispose()


ASYNC = [asyncpg_connection, pooled_asyncpg, psycopg_async, sqlalchemy_async, sqlalchemy_async_session]
SYNC = [psycopg_sync, psycopg2_sync, sqlalchemy_sync, sqlalchemy_sync_session]


@asynccontextmanager
async def held_listener_lock(url: str, owner: IncarnationId) -> AsyncIterator[None]:
    """Somebody listens in this owner's name, by the looks of it."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("select pg_try_advisory_lock($1)", listener_lock_key(owner))
        yield
    finally:
        connection.terminate()
