"""SAQ on Redis."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvloop
from benchmarks.systems.driving import Unsupported, drive, ready
from redis.asyncio import Redis
from saq import Worker as SaqWorker
from saq.queue.redis import RedisQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.systems.driving import Payload, Terms, Worker

CONCURRENCY = 10


async def setup(url: str) -> None:
    queue = RedisQueue(Redis.from_url(url))
    await queue.redis.flushdb()
    await queue.disconnect()


class Submitter:
    def __init__(self, queue: RedisQueue, terms: Terms) -> None:
        self._queue = queue
        self._delay = terms.delay

    async def one(self, payload: Payload) -> None:
        due = {} if self._delay is None else {"scheduled": int(time.time() + self._delay)}
        await self._queue.enqueue("noop", payload=payload, **due)

    async def batch(self, payloads: Sequence[Payload]) -> None:
        raise Unsupported("SAQ enqueues jobs one by one")


@asynccontextmanager
async def submitting(url: str, terms: Terms) -> AsyncIterator[Submitter]:
    if terms.priority is not None:
        raise Unsupported("SAQ has priorities on PostgreSQL alone")
    queue = RedisQueue(Redis.from_url(url), max_concurrent_ops=terms.concurrency)
    yield Submitter(queue, terms)
    await queue.disconnect()


async def work(worker: Worker) -> None:
    done = worker.counting()

    async def noop(ctx: dict[str, Any], *, payload: Payload) -> None:
        done(payload["at"])

    async def started(ctx: dict[str, Any]) -> None:
        ready()

    queue = RedisQueue(Redis.from_url(worker.url))
    running = SaqWorker(
        queue, [("noop", noop)], concurrency=worker.concurrency or CONCURRENCY, startup=started
    )
    await running.start()
    await queue.disconnect()


if __name__ == "__main__":
    drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
