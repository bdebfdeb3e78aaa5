"""Fill a candidate's tables, drain them as workers would, and check that every job ended exactly once."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from statistics import fmean, harmonic_mean
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
from attrs import Factory, define, frozen
from benchmarks.storage.layouts import ddl
from benchmarks.storage.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.storage.layouts import Layout

    Connection = asyncpg.Connection[asyncpg.Record]

PAYLOAD = '{"to": "someone@example.org", "subject": "a payload of about one hundred bytes", "n": 1234567}'
RESULT = '{"ok": true}'
TYPES = ["noop"]
QUEUES = ["default"]
WORKER = "bench-1"
CURSOR_LIFE_SECONDS = 1.0
# Every hot statement finds its rows by key. Pinning that spares planning at each call and keeps a plan that was
# made while a table was small from reading all of it once it is large.
PINNED_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
FREE_PLANS = {"plan_cache_mode": "auto"}


@frozen(kw_only=True)
class Drained:
    """What one drain cost."""

    jobs_per_second: float
    jobs_per_second_by_part: list[float]
    wal_bytes_per_job: float
    hot_ratio: float


@define
class Cursor:
    """Per queue and priority the last key claimed: where the next claim starts.

    A hint with an age: it is dropped after a while, and when a claim found less than it asked for, so that
    what arrived behind it is found.
    """

    enabled: bool
    born: float = Factory(time.monotonic)
    last: dict[tuple[str, int], tuple[datetime, UUID]] = Factory(dict)

    def arguments(self) -> tuple[list[str], list[int], list[datetime], list[UUID]]:
        if time.monotonic() - self.born > CURSOR_LIFE_SECONDS:
            self.forget()
        keys = list(self.last)
        return (
            [queue for queue, _ in keys],
            [priority for _, priority in keys],
            [self.last[key][0] for key in keys],
            [self.last[key][1] for key in keys],
        )

    def forget(self) -> None:
        self.last.clear()
        self.born = time.monotonic()

    def advance(self, claimed: Sequence[asyncpg.Record]) -> None:
        if not self.enabled:
            return
        for job in claimed:
            key = (job["queue"], job["priority"])
            at = (job["scheduled_at"], job["job_id"])
            if key not in self.last or at > self.last[key]:
                self.last[key] = at


@asynccontextmanager
async def connected(url: str, layout: Layout, settings: dict[str, str]) -> AsyncIterator[Connection]:
    """Open a connection whose search path is the candidate's schema."""
    connection = await asyncpg.connect(
        url, server_settings={"search_path": layout.schema, **settings}, statement_cache_size=1000
    )
    try:
        yield connection
    finally:
        await connection.close()


def time_ordered_ids(count: int) -> list[UUID]:
    """Make UUIDs of version 7 that ascend in the order given."""
    start = time.time_ns()
    tail = os.urandom(count * 7)
    return [
        UUID(
            int=((start + n * 250) // 1_000_000 << 80)
            | (7 << 76)
            | ((((start + n * 250) % 1_000_000) >> 8) << 64)
            | (0b10 << 62)
            | ((n & 0x3F) << 56)
            | int.from_bytes(tail[n * 7 : n * 7 + 7])
        )
        for n in range(count)
    ]


async def create(url: str, layout: Layout) -> None:
    """Make the candidate's empty schema with one open queue."""
    async with connected(url, layout, {}) as connection:
        await connection.execute(ddl(layout))
        await connection.execute("insert into queues values (1, 'default', false)")


async def store_finished(connection: Connection, layout: Layout, count: int) -> None:
    """Store jobs that ended a day ago.

    They are written as they would have been, first the job and then its ending: rows written whole leave gaps
    in their pages into which the narrower new jobs would be scattered.
    """
    await _store_claimable(connection, layout, count, type_="noop", priority=5, due="interval '-1 day'")
    if layout.has_ready_table:
        await connection.execute("truncate job_ready")
    await connection.execute(f"""
        update jobs set
            status = {layout.status("SUCCESS")}, worker_id = '{WORKER}', attempt = 1, lease_token = 1,
            claimed_at = scheduled_at, started_at = scheduled_at, completed_at = scheduled_at, result = '{RESULT}'
        """)


async def store_delayed(connection: Connection, layout: Layout, count: int) -> None:
    """Store jobs of a higher priority that are due tomorrow."""
    await _store_claimable(connection, layout, count, type_="noop", priority=9, due="interval '1 day'")


async def store_unhandled(connection: Connection, layout: Layout, count: int) -> None:
    """Store jobs of another type that have been due since yesterday, at the priority of those to be drained."""
    await _store_claimable(connection, layout, count, type_="unknown", priority=5, due="interval '-1 day'")


async def _store_claimable(
    connection: Connection, layout: Layout, count: int, *, type_: str, priority: int, due: str
) -> None:
    await connection.execute(f"""
        insert into jobs (
            job_id, tenant_id, type, queue, payload, idempotency_key, request_hash, priority, scheduled_at,
            max_retries, retry_policy, retry_base_seconds, retry_max_seconds, timeout_seconds, status, created_at
        )
        select
            uuidv7(), 1, '{type_}', 'default', '{PAYLOAD}', 'seed-' || lpad(n::text, 36, '0'),
            decode(md5(n::text), 'hex'), {priority}, now() + {due} + n * interval '1 ms', 3, 'exponential',
            60, 3600, 300, {layout.status("PENDING")}, now()
        from generate_series(1, {count}) as n""")
    if layout.has_ready_table:
        await connection.execute("""
            insert into job_ready (tenant_id, queue, priority, scheduled_at, job_id, type)
            select tenant_id, queue, priority, scheduled_at, job_id, type from jobs""")


async def submit(
    connection: Connection, layout: Layout, count: int, *, payload: str = PAYLOAD, batch: int = 1000
) -> float:
    """Submit ready jobs in batches and return the seconds that the statements took."""
    statement = await connection.prepare(statements(layout).submit)
    spent = 0.0
    for start in range(0, count, batch):
        size = min(batch, count - start)
        ids = time_ordered_ids(size)
        arguments = (
            ids,
            ["noop"] * size,
            ["default"] * size,
            [payload] * size,
            [str(id_) for id_ in ids],
            [id_.bytes for id_ in ids],
            [5] * size,
            [datetime.now(UTC)] * size,
        )
        began = time.perf_counter()
        created = await statement.fetch(*arguments)
        spent += time.perf_counter() - began
        if len(created) != size:
            raise RuntimeError(f"submitted {size} jobs, {len(created)} were created")
    return spent


async def settle(connection: Connection, layout: Layout, *, full: bool) -> None:
    """Leave no dead rows, no stale statistics and no overdue checkpoint to the measurement that follows."""
    for table in [*layout.tables, "queues"]:
        await connection.execute(f"{'vacuum (analyze)' if full else 'analyze'} {table}")
    if full:
        await connection.execute("checkpoint")


async def empty(connection: Connection, layout: Layout) -> None:
    """Remove every job."""
    await connection.execute(f"truncate {', '.join(layout.tables)}")


@define
class _Progress:
    """When each part of the jobs was done, over all connections together."""

    part: int
    done: int = 0
    marks: list[float] = Factory(list)

    def add(self, count: int) -> None:
        self.done += count
        while self.done >= self.part * (len(self.marks) + 1):
            self.marks.append(time.perf_counter())


async def _work(connection: Connection, layout: Layout, k: int, cursor: Cursor, progress: _Progress) -> None:
    sql = statements(layout)
    owner = uuid4()
    claim = await connection.prepare(sql.claim)
    complete = await connection.prepare(sql.complete)
    exchange = await connection.prepare(sql.exchange)
    success = "SUCCESS" if layout.status_type == "text" else "3"
    claimed: list[asyncpg.Record] = []
    while True:
        cursor_used = bool(cursor.last)
        claim_arguments = (k, QUEUES, TYPES, owner, *cursor.arguments())
        if claimed:
            count = len(claimed)
            started_at = datetime.now(UTC)
            outcomes = (
                WORKER,
                [job["job_id"] for job in claimed],
                [job["lease_id"] for job in claimed],
                [success] * count,
                [RESULT] * count,
                [started_at] * count,
                [None] * count,
                [None] * count,
                [None] * count,
            )
            if layout.fused:
                rows = await exchange.fetch(*outcomes, *claim_arguments)
                accepted = rows.pop()["accepted"]
                found = rows
            else:
                accepted = await complete.fetchval(*outcomes)
                found = await claim.fetch(*claim_arguments)
            if len(accepted) != count:
                raise RuntimeError(f"{count - len(accepted)} completions were refused")
            progress.add(count)
        else:
            found = await claim.fetch(*claim_arguments)
        if len(found) < k:
            cursor.forget()
        else:
            cursor.advance(found)
        if not found and not cursor_used:
            return
        claimed = found


async def drain(
    url: str,
    layout: Layout,
    count: int,
    *,
    k: int,
    connections: int = 1,
    cursor: bool = True,
    parts: int = 1,
    settings: dict[str, str],
) -> Drained:
    """Claim and complete everything that is ready, and check that it is done."""
    opened = [await _open(url, layout, settings) for _ in range(connections)]
    try:
        watch = opened[0]
        ended_before = await _ended(watch, layout)
        updates_before = await _updates(opened)
        wal_before = await watch.fetchval("select pg_current_wal_lsn()")
        progress = _Progress(part=count // parts)
        began = time.perf_counter()
        await asyncio.gather(
            *(_work(connection, layout, k, Cursor(enabled=cursor), progress) for connection in opened)
        )
        spent = time.perf_counter() - began
        wal = await watch.fetchval("select pg_current_wal_lsn() - $1::pg_lsn", wal_before)
        updates = [
            after - before for after, before in zip(await _updates(opened), updates_before, strict=True)
        ]
        ended = await _ended(watch, layout) - ended_before
        leases = await watch.fetchval("select count(*) from job_leases") if layout.has_lease_table else 0
        if ended != count or progress.done != count or leases:
            raise RuntimeError(
                f"{layout.name}: {count} jobs, {ended} ended, {progress.done} seen, {leases} held"
            )
        edges = [began, *progress.marks]
        return Drained(
            jobs_per_second=count / spent,
            jobs_per_second_by_part=[progress.part / (end - start) for start, end in pairwise(edges)],
            wal_bytes_per_job=float(wal) / count,
            hot_ratio=updates[1] / updates[0],
        )
    finally:
        for connection in opened:
            await connection.close()


def drained_in_waves(waves: Sequence[Drained], parts: int) -> Drained:
    """Sum up drains of the same size that followed each other."""
    if len(waves) == 1:
        return waves[0]
    size = len(waves) // parts
    return Drained(
        jobs_per_second=harmonic_mean([wave.jobs_per_second for wave in waves]),
        jobs_per_second_by_part=[
            harmonic_mean([wave.jobs_per_second for wave in waves[part * size : (part + 1) * size]])
            for part in range(parts)
        ],
        wal_bytes_per_job=fmean(wave.wal_bytes_per_job for wave in waves),
        hot_ratio=fmean(wave.hot_ratio for wave in waves),
    )


async def _open(url: str, layout: Layout, settings: dict[str, str]) -> Connection:
    return await asyncpg.connect(url, server_settings={"search_path": layout.schema, **settings})


async def _ended(connection: Connection, layout: Layout) -> int:
    ended: int = await connection.fetchval(
        f"select count(*) from jobs where status = {layout.status('SUCCESS')}"
    )
    return ended


async def _updates(connections: Sequence[Connection]) -> tuple[int, int]:
    for connection in connections:
        await connection.execute("select pg_stat_force_next_flush()")
        await connection.execute("select 1")
    row: Any = await connections[0].fetchrow(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'jobs'::regclass"
    )
    return row["n_tup_upd"], row["n_tup_hot_upd"]
