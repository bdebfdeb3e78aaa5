"""Procrastinate over psycopg."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
import uvloop
from benchmarks.systems.driving import drive, ready
from procrastinate import App, PsycopgConnector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.systems.driving import Done, Payload, Terms, Worker

CONCURRENCY = 30
PRIORITIES = {"lower": -1, None: 0, "higher": 1}


def application(url: str, done: Done | None = None, connections: int = 10) -> App:
    app = App(connector=PsycopgConnector(conninfo=url, min_size=connections, max_size=connections))

    @app.task(name="noop", queue="default")
    async def noop(n: int, at: int, pad: str) -> None:
        if done is not None:
            done(at)

    return app


async def setup(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("DROP SCHEMA public CASCADE")
        await connection.execute("CREATE SCHEMA public")
    app = application(url)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


class Submitter:
    def __init__(self, app: App, terms: Terms) -> None:
        how = {"priority": PRIORITIES[terms.priority]}
        if terms.delay is not None:
            how["schedule_in"] = {"seconds": terms.delay}
        self._deferrer = app.configure_task("noop", queue="default", **how)

    async def one(self, payload: Payload) -> None:
        await self._deferrer.defer_async(**payload)

    async def batch(self, payloads: Sequence[Payload]) -> None:
        await self._deferrer.batch_defer_async(*payloads)


@asynccontextmanager
async def submitting(url: str, terms: Terms) -> AsyncIterator[Submitter]:
    app = application(url, connections=min(terms.concurrency, 10))
    async with app.open_async():
        yield Submitter(app, terms)


async def work(worker: Worker) -> None:
    app = application(worker.url, worker.counting())
    async with app.open_async():
        ready()
        await app.run_worker_async(concurrency=worker.concurrency or CONCURRENCY)


if __name__ == "__main__":
    drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
