"""Chancy over psycopg."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import uvloop
from benchmarks.systems.driving import drive, ready
from chancy import Chancy, Queue, job
from chancy import Worker as ChancyWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.systems.driving import Done, Payload, Terms, Worker
    from chancy.job import Job

CONCURRENCY = 1_000
PRIORITIES = {"lower": -1, "higher": 1}

counted: list[Done] = []


@job(queue="noops")
async def noop(*, n: int, at: int, pad: str) -> None:
    counted[0](at)


async def setup(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("DROP SCHEMA public CASCADE")
        await connection.execute("CREATE SCHEMA public")
    async with client(url) as chancy:
        await chancy.migrate()
        await declare(chancy, CONCURRENCY)


async def declare(chancy: Chancy, concurrency: int) -> None:
    await chancy.declare(
        Queue("noops", concurrency=concurrency, executor=Chancy.Executor.Async, eager_polling=True),
        upsert=True,
    )


def client(url: str, connections: int = 10) -> Chancy:
    return Chancy(
        url, min_connection_pool_size=connections, max_connection_pool_size=connections, log=quiet()
    )


def quiet() -> logging.Logger:
    logger = logging.getLogger("chancy")
    logger.setLevel(logging.WARNING)
    return logger


class Submitter:
    def __init__(self, chancy: Chancy, terms: Terms) -> None:
        self._chancy = chancy
        self._terms = terms

    def _job(self, payload: Payload) -> Job:
        made = noop.job.with_kwargs(**payload)
        if self._terms.priority is not None:
            made = made.with_priority(PRIORITIES[self._terms.priority])
        if self._terms.delay is not None:
            made = made.with_scheduled_at(datetime.now(UTC) + timedelta(seconds=self._terms.delay))
        return made

    async def one(self, payload: Payload) -> None:
        await self._chancy.push(self._job(payload))

    async def batch(self, payloads: Sequence[Payload]) -> None:
        async for _ in self._chancy.push_many(
            [self._job(payload) for payload in payloads], batch_size=len(payloads)
        ):
            pass


@asynccontextmanager
async def submitting(url: str, terms: Terms) -> AsyncIterator[Submitter]:
    async with client(url, min(terms.concurrency, 10)) as chancy:
        yield Submitter(chancy, terms)


async def work(worker: Worker) -> None:
    counted.append(worker.counting())
    async with client(worker.url) as chancy:
        if worker.concurrency is not None:
            await declare(chancy, worker.concurrency)
        async with ChancyWorker(chancy) as running:
            ready()
            await running.wait_for_shutdown()


if __name__ == "__main__":
    drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
