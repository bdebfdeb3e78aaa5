"""The limit for a full record: the statements of decision 0001 in a loop, and nothing around them."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import orjson
import uvloop
from attrs import evolve, frozen
from benchmarks.storage.drain import PINNED_PLANS, QUEUES, TYPES, WORKER, Cursor, create, time_ordered_ids
from benchmarks.storage.experiments import DERIVED_FUSED
from benchmarks.storage.layouts import Ready
from benchmarks.storage.statements import statements
from benchmarks.systems import driving
from benchmarks.systems.flushing import GroupCommit, Hints, Wakeup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


LAYOUT = evolve(DERIVED_FUSED, name="bare_record", ready=Ready.ORDERED_WITH_TYPE)
SQL = statements(LAYOUT)
BATCH = 500
PRIORITIES = {"lower": 1, None: 5, "higher": 9}


@frozen
class Submitter:
    """A connection with the statement prepared."""

    insert: asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]
    hints: Hints
    group: GroupCommit | None
    priority: int
    delay: timedelta

    async def one(self, payload: driving.Payload) -> None:
        text = orjson.dumps(payload).decode()
        await (self.write([text]) if self.group is None else self.group.submit(text))

    async def batch(self, payloads: Sequence[driving.Payload]) -> None:
        await self.write([orjson.dumps(payload).decode() for payload in payloads])

    async def write(self, payloads: list[str]) -> None:
        size = len(payloads)
        ids = time_ordered_ids(size)
        keys, hashes = [str(id_) for id_ in ids], [id_.bytes for id_ in ids]
        due = datetime.now(UTC) + self.delay
        await self.insert.fetch(
            ids, TYPES * size, QUEUES * size, payloads, keys, hashes, [self.priority] * size, [due] * size
        )
        self.hints.ring()


@asynccontextmanager
async def submitting(url: str, terms: driving.Terms) -> AsyncIterator[Submitter]:
    connection, notifying = await _connect(url), await _connect(url)
    hints = Hints(notifying)
    submitter = Submitter(
        await connection.prepare(SQL.submit),
        hints,
        None,
        PRIORITIES[terms.priority],
        timedelta(seconds=terms.delay or 0),
    )
    if terms.concurrency > 1:
        submitter = evolve(submitter, group=GroupCommit(submitter.write))
    async with hints.ringing():
        yield submitter
    await connection.close()
    await notifying.close()


async def setup(url: str) -> None:
    """Make the tables."""
    await create(url, LAYOUT)


async def work(worker: driving.Worker) -> None:
    """Complete one batch and claim the next, until SIGTERM."""
    done = worker.counting()
    limit = worker.concurrency or BATCH
    connection, listening = await _connect(worker.url), await _connect(worker.url)
    wakeup, cursor, owner = Wakeup(), Cursor(enabled=True), uuid4()
    await wakeup.listen(listening)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    driving.ready()
    claimed: list[asyncpg.Record] = []
    while claimed or not stopped.is_set():
        claim = (
            0 if stopped.is_set() else limit,
            QUEUES,
            TYPES,
            owner,
            *cursor.arguments(),
        )
        cursor_used = bool(cursor.last)
        if claimed:
            count, nothing, began = len(claimed), [None] * len(claimed), datetime.now(UTC)
            for job in claimed:
                await _noop(orjson.loads(job["payload"]), done)
            rows = await connection.fetch(
                SQL.exchange,  # planned at first use: while leases are held, or the plan is bad for as long as it is kept
                WORKER,
                [job["job_id"] for job in claimed],
                [job["lease_id"] for job in claimed],
                ["SUCCESS"] * count,
                ["null"] * count,
                [began] * count,
                nothing,
                nothing,
                nothing,
                *claim,
            )
            if len(rows.pop()["accepted"]) != count:
                raise RuntimeError("a completion was refused")
        else:
            rows = await connection.fetch(SQL.claim, *claim)
            if not rows and not cursor_used and not stopped.is_set():
                await wakeup.wait()
        claimed = rows
        if len(claimed) < limit:
            cursor.forget()
        else:
            cursor.advance(claimed)
    await connection.close()
    await listening.close()


async def _noop(payload: driving.Payload, done: driving.Done) -> None:
    done(payload["at"])


async def _connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(url, server_settings={"search_path": LAYOUT.schema, **PINNED_PLANS})


if __name__ == "__main__":
    driving.drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
