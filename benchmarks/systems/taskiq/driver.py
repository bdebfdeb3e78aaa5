"""taskiq on Redis streams."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvloop
from benchmarks.systems.driving import Unsupported, drive, ready, terminated
from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.systems.driving import Done, Payload, Terms, Worker
    from taskiq import AsyncTaskiqDecoratedTask

MAX_ASYNC_TASKS = 100
MAX_PREFETCH = 100


def broker_with_task(
    url: str, done: Done | None = None
) -> tuple[RedisStreamBroker, AsyncTaskiqDecoratedTask[[Payload], None]]:
    broker = RedisStreamBroker(url)

    @broker.task(task_name="noop")
    async def noop(payload: dict[str, int | str]) -> None:
        if done is not None:
            done(payload["at"])

    return broker, noop


async def setup(url: str) -> None:
    redis = Redis.from_url(url)
    await redis.flushdb()
    await redis.aclose()
    broker, _ = broker_with_task(url)
    broker.is_worker_process = True
    await broker.startup()  # makes the consumer group, which is given what comes after
    await broker.shutdown()


class Submitter:
    def __init__(self, task: AsyncTaskiqDecoratedTask[[Payload], None]) -> None:
        self._task = task

    async def one(self, payload: Payload) -> None:
        await self._task.kiq(payload)

    async def batch(self, payloads: Sequence[Payload]) -> None:
        raise Unsupported("taskiq sends tasks one by one")


@asynccontextmanager
async def submitting(url: str, terms: Terms) -> AsyncIterator[Submitter]:
    if terms.priority is not None:
        raise Unsupported("taskiq-redis takes tasks in the order of the stream")
    if terms.delay is not None:
        raise Unsupported("taskiq-redis leaves delays to a scheduler process with a store of its own")
    broker, task = broker_with_task(url)
    await broker.startup()
    yield Submitter(task)
    await broker.shutdown()


async def work(worker: Worker) -> None:
    broker, _ = broker_with_task(worker.url, worker.counting())
    broker.is_worker_process = True
    await broker.startup()
    receiving = asyncio.create_task(
        run_receiver_task(
            broker,
            max_async_tasks=worker.concurrency or MAX_ASYNC_TASKS,
            max_prefetch=MAX_PREFETCH,
        )
    )
    ready()
    await terminated()
    receiving.cancel()
    await asyncio.wait([receiving])
    await broker.shutdown()


if __name__ == "__main__":
    drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
