"""The least that can be called a queue: one thin table, one handler, no feature."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import orjson
import uvloop
from attrs import evolve, frozen
from benchmarks.systems import driving
from benchmarks.systems.flushing import GroupCommit, Hints, Wakeup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

BATCH = 1_000
TABLE = """
    CREATE TABLE bare_jobs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        due_at timestamptz NOT NULL,
        taken boolean NOT NULL DEFAULT false,
        payload text NOT NULL
    );
    CREATE INDEX bare_jobs_ready ON bare_jobs (due_at, id) WHERE NOT taken"""
INSERT = """
    INSERT INTO bare_jobs (due_at, payload)
    SELECT now() + $2 * interval '1 second', payload FROM unnest($1::text[]) AS payload"""
EXCHANGE = """
    WITH done AS (DELETE FROM bare_jobs WHERE id = ANY($1::bigint[])),
    picked AS MATERIALIZED (
        SELECT id FROM bare_jobs WHERE NOT taken AND due_at <= now()
        ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE bare_jobs SET taken = true WHERE id = ANY(ARRAY(SELECT id FROM picked)) RETURNING id, payload"""


@frozen
class Submitter:
    """A connection with the statement prepared."""

    insert: asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]
    hints: Hints
    group: GroupCommit | None
    delay: float

    async def one(self, payload: driving.Payload) -> None:
        text = orjson.dumps(payload).decode()
        await (self.write([text]) if self.group is None else self.group.submit(text))

    async def batch(self, payloads: Sequence[driving.Payload]) -> None:
        await self.write([orjson.dumps(payload).decode() for payload in payloads])

    async def write(self, payloads: list[str]) -> None:
        await self.insert.fetch(payloads, self.delay)
        self.hints.ring()


@asynccontextmanager
async def submitting(url: str, terms: driving.Terms) -> AsyncIterator[Submitter]:
    if terms.priority is not None:
        raise driving.Unsupported("it has no priorities")
    connection, notifying = await asyncpg.connect(url), await asyncpg.connect(url)
    hints = Hints(notifying)
    submitter = Submitter(await connection.prepare(INSERT), hints, None, terms.delay or 0.0)
    if terms.concurrency > 1:
        submitter = evolve(submitter, group=GroupCommit(submitter.write))
    async with hints.ringing():
        yield submitter
    await connection.close()
    await notifying.close()


async def setup(url: str) -> None:
    """Make the table."""
    connection = await asyncpg.connect(url)
    await connection.execute(TABLE)
    await connection.close()


async def work(worker: driving.Worker) -> None:
    """Delete one batch and claim the next, until SIGTERM."""
    done = worker.counting()
    limit = worker.concurrency or BATCH
    connection, listening = await asyncpg.connect(worker.url), await asyncpg.connect(worker.url)
    wakeup = Wakeup()
    await wakeup.listen(listening)
    driving.ready()  # and wait at the gate: to prepare is to read the table
    exchange = await connection.prepare(EXCHANGE)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    claimed: list[asyncpg.Record] = []
    while claimed or not stopped.is_set():
        for job in claimed:
            await _noop(orjson.loads(job["payload"]), done)
        ended = [job["id"] for job in claimed]
        claimed = await exchange.fetch(ended, 0 if stopped.is_set() else limit)
        if not claimed and not ended and not stopped.is_set():
            await wakeup.wait()
    await connection.close()
    await listening.close()


async def _noop(payload: driving.Payload, done: driving.Done) -> None:
    done(payload["at"])


if __name__ == "__main__":
    driving.drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
