"""Oban (the free one) over psycopg."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import uvloop
from benchmarks.systems.driving import drive, ready, terminated
from oban import Oban
from oban import worker as oban_worker
from oban.schema import install, uninstall
from psycopg.types.json import set_json_dumps, set_json_loads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.systems.driving import Done, Payload, Terms, Worker
    from oban import Job

LIMIT = 500
PRIORITIES = {"higher": 0, None: 1, "lower": 2}  # 0 goes first, and is the default


@oban_worker(queue="default")
class Noop:
    done: Done

    async def process(self, job: Job) -> None:
        Noop.done(job.args["at"])


async def setup(url: str) -> None:
    pool = await Oban.create_pool(url)
    await uninstall(pool)
    await install(pool)
    await pool.close()


class Submitter:
    def __init__(self, oban: Oban, terms: Terms) -> None:
        self._oban = oban
        self._how = {"priority": PRIORITIES[terms.priority]}
        if terms.delay is not None:
            self._how["scheduled_in"] = terms.delay

    async def one(self, payload: Payload) -> None:
        await self._oban.enqueue(Noop.new(payload, **self._how))

    async def batch(self, payloads: Sequence[Payload]) -> None:
        await self._oban.enqueue_many(*[Noop.new(payload, **self._how) for payload in payloads])


@asynccontextmanager
async def submitting(url: str, terms: Terms) -> AsyncIterator[Submitter]:
    as_the_command_does()
    size = min(terms.concurrency, 10)
    pool = await Oban.create_pool(url, min_size=size, max_size=size)
    yield Submitter(Oban(pool=pool), terms)
    await pool.close()


async def work(worker: Worker) -> None:
    as_the_command_does()
    Noop.done = staticmethod(worker.counting())
    pool = await Oban.create_pool(worker.url)
    async with Oban(pool=pool, queues={"default": worker.concurrency or LIMIT}):
        ready()
        await terminated()
    await pool.close()


def as_the_command_does() -> None:
    """`oban start` reads and writes JSON by orjson."""
    set_json_dumps(orjson.dumps)
    set_json_loads(orjson.loads)


if __name__ == "__main__":
    drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
