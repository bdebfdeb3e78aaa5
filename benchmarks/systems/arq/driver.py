"""arq on Redis."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import uvloop
from arq import create_pool, func
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker as ArqWorker
from benchmarks.systems.driving import Unsupported, drive, ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.systems.driving import Payload, Terms, Worker

MAX_JOBS = 100
POLL_DELAY_SECONDS = 0.01


async def setup(url: str) -> None:
    pool = await create_pool(RedisSettings.from_dsn(url))
    await pool.flushdb()
    await pool.aclose()


class Submitter:
    def __init__(self, pool: ArqRedis, terms: Terms) -> None:
        self._pool = pool
        self._delay = terms.delay

    async def one(self, payload: Payload) -> None:
        await self._pool.enqueue_job("noop", payload, _defer_by=self._delay)

    async def batch(self, payloads: Sequence[Payload]) -> None:
        raise Unsupported("arq enqueues jobs one by one")


@asynccontextmanager
async def submitting(url: str, terms: Terms) -> AsyncIterator[Submitter]:
    if terms.priority is not None:
        raise Unsupported("arq takes jobs by time alone")
    pool = await create_pool(RedisSettings.from_dsn(url))
    yield Submitter(pool, terms)
    await pool.aclose()


async def work(worker: Worker) -> None:
    done = worker.counting()

    async def noop(ctx: dict[str, Any], payload: Payload) -> None:
        done(payload["at"])

    async def started(ctx: dict[str, Any]) -> None:
        ready()

    running = ArqWorker(
        [func(noop, name="noop")],
        redis_settings=RedisSettings.from_dsn(worker.url),
        on_startup=started,
        max_jobs=worker.concurrency or MAX_JOBS,
        keep_result=0,
        poll_delay=POLL_DELAY_SECONDS,
    )
    with suppress(asyncio.CancelledError):  # so it ends on SIGTERM
        await running.async_run()
    await running.close()


if __name__ == "__main__":
    drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
