"""PgQueuer over asyncpg."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import uvloop
from benchmarks.systems.driving import drive, ready, terminated
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.systems.driving import Payload, Terms, Worker

BATCH = 1_000
CONNECTIONS = 10
PRIORITIES = {"lower": -1, None: 0, "higher": 1}


async def setup(url: str) -> None:
    connection = await asyncpg.connect(url)
    queries = Queries(AsyncpgDriver(connection))
    if await queries.schema_is_installed():
        await queries.uninstall()
    await queries.install()
    await queries.optimize_autovacuum()
    await connection.close()


class Submitter:
    def __init__(self, queries: Queries, terms: Terms) -> None:
        self._queries = queries
        self._priority = PRIORITIES[terms.priority]
        self._delay = None if terms.delay is None else timedelta(seconds=terms.delay)

    async def one(self, payload: Payload) -> None:
        await self._queries.enqueue("noop", json.dumps(payload).encode(), self._priority, self._delay)

    async def batch(self, payloads: Sequence[Payload]) -> None:
        count = len(payloads)
        await self._queries.enqueue(
            ["noop"] * count,
            [json.dumps(payload).encode() for payload in payloads],
            [self._priority] * count,
            [self._delay] * count,
        )


@asynccontextmanager
async def submitting(url: str, terms: Terms) -> AsyncIterator[Submitter]:
    if terms.concurrency == 1:
        connection = await asyncpg.connect(url)
        yield Submitter(Queries(AsyncpgDriver(connection)), terms)
        await connection.close()
    else:
        async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
            yield Submitter(Queries(AsyncpgPoolDriver(pool)), terms)


async def work(worker: Worker) -> None:
    done = worker.counting()
    connection = await asyncpg.connect(worker.url)
    queues = PgQueuer(AsyncpgDriver(connection))

    @queues.entrypoint("noop")
    async def noop(job: Job) -> None:
        done(json.loads(job.payload)["at"])

    async def stop() -> None:
        await terminated()
        queues.shutdown.set()

    stopping = asyncio.create_task(stop())
    ready()
    await queues.run(batch_size=worker.concurrency or BATCH)
    await stopping
    await connection.close()


if __name__ == "__main__":
    drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
