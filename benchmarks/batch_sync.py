"""What a batch costs: jobs drained by completions that are ready-made, through the adapter alone.

``python -m benchmarks.batch_sync --help``. It starts an embedded server of its own, exactly as a user gets it, and
checks after each drain that every job ended once.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import psutil
from attrs import Factory, define, evolve, frozen

from schedora.adapters.postgres.embedded import start_embedded
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_queue import PostgresJobQueue
from schedora.adapters.postgres.upgrade import migrate
from schedora.application.ports.job_queue import ClaimRequest, SyncBatch
from schedora.domain.completion import Completion
from schedora.domain.ids import IncarnationId, JsonText, WorkerId
from schedora.domain.job_state import JobState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from schedora.application.ports.job_queue import SyncAnswer
    from schedora.domain.claimed_job import ClaimedJob

_WORKER = WorkerId("bench")
_RESULT = JsonText('{"ok": true}')
_TABLES = "jobs, job_ready, job_leases, job_counts, queues, workers"
_CHUNK = 10_000
_SOON = timedelta(seconds=10)


@frozen(kw_only=True)
class Backlog:
    """Jobs to store, as they would have been submitted: in order of their ids, spread over lanes in turn."""

    count: int
    queues: int = 1
    types: int = 1
    priority: str = "5"
    due: str = "interval '0'"
    """Added to the time of the submission."""

    def names(self) -> tuple[list[str], list[str]]:
        return [f"queue{n}" for n in range(self.queues)], [f"type{n}" for n in range(self.types)]


@define
class Drained:
    """One drain: how fast each part of it was, and what it cost the server."""

    count: int
    done: int = 0
    marks: list[float] = Factory(list)
    batch_seconds: list[float] = Factory(list)
    server_cpu_seconds: float = 0.0
    wal_bytes: int = 0

    @property
    def jobs_per_second(self) -> float:
        return self.count / (self.marks[-1] - self.marks[0])

    def parts(self, count: int) -> list[float]:
        """Jobs a second, each part of the drain in turn."""
        size = (len(self.marks) - 1) // count
        edges = [self.marks[n * size] for n in range(count)] + [self.marks[-1]]
        share = self.count / count
        return [share / (end - start) for start, end in pairwise(edges)]


async def store(connection: asyncpg.Connection[asyncpg.Record], backlog: Backlog) -> None:
    for first in range(0, backlog.count, _CHUNK):
        await connection.execute(f"""
            with created as (
                insert into jobs (
                    job_id, type, queue, payload, idempotency_key, fingerprint, priority, scheduled_at, retry_kind,
                    max_retries, retry_base_us, retry_max_us, timeout_us, created_at, traceparent
                )
                select
                    (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
                        || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid,
                    'type' || n / {backlog.queues} % {backlog.types}, 'queue' || n % {backlog.queues},
                    '{{"to": "someone@example.org", "subject": "a payload of about one hundred bytes", "n": 1234567}}',
                    null, sha256(n::text::bytea), {backlog.priority}, clock_timestamp() + {backlog.due},
                    'exponential', 3, 60000000, 3600000000, 300000000, clock_timestamp(),
                    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
                from generate_series({first}, {min(first + _CHUNK, backlog.count) - 1}) n
                returning job_id, queue, priority, type, scheduled_at
            )
            insert into job_ready (job_id, queue, priority, type, scheduled_at)
            select job_id, queue, priority, type, scheduled_at from created""")
    await connection.execute(
        f"insert into queues (name) select 'queue' || n from generate_series(0, {backlog.queues - 1}) n"
        " on conflict do nothing"
    )


async def finish(connection: asyncpg.Connection[asyncpg.Record], count: int) -> None:
    """Jobs that ended before."""
    await store(connection, Backlog(count=count, due="interval '-1 day'"))
    await connection.execute("""
        truncate job_ready;
        update jobs set status = 'SUCCESS', worker_id = 'bench', attempt = 1, lease_token = 1,
            claimed_at = scheduled_at, started_at = scheduled_at, completed_at = scheduled_at,
            result = '{"ok": true}'""")


async def settle(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Leaves no dead rows, no stale statistics and no overdue checkpoint to what is measured next."""
    await connection.execute("vacuum (analyze)")
    await connection.execute("checkpoint")


async def empty(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await connection.execute(f"truncate {_TABLES}")


def succeeded(jobs: Iterable[ClaimedJob]) -> list[Completion]:
    return [
        Completion(
            job_id=job.job_id,
            lease_id=job.lease_id,
            lease_token=job.lease_token,
            workflow_id=None,
            type=job.type,
            queue=job.queue,
            status=JobState.SUCCESS,
            attempt=1,
            retry_count=0,
            worker_deaths=0,
            started_at=job.claimed_at,
            ended_at=job.claimed_at,
            result=_RESULT,
        )
        for job in jobs
    ]


class Worker:
    """Claims and completes through one connection."""

    def __init__(self, database: Database, k: int, types: list[str]) -> None:
        self._database = database
        self._queue = PostgresJobQueue(database)
        self.owner = IncarnationId(uuid4())
        self._k = k
        self._types = tuple(types)

    async def register(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        await connection.execute(
            """insert into workers (incarnation, worker_id, hostname, pid, version, max_concurrent_jobs, queues,
                types, status, registered_at, last_heartbeat)
            values ($1, $2, 'host', 1, '1', 10, '{}', '{}', 'ACTIVE', now(), now())""",
            self.owner,
            str(_WORKER),
        )

    async def sync(self, done: list[Completion]) -> SyncAnswer:
        wish = ClaimRequest(
            owner=self.owner,
            worker_id=_WORKER,
            queues=(),
            types=self._types,
            limit=self._k,
            start_count=self._k,
        )
        answer = await self._queue.sync(SyncBatch(completions=done, claim=wish))
        if len(answer.accepted) != len(done):
            raise RuntimeError(f"{len(done) - len(answer.accepted)} completions were refused")
        return answer

    async def work(self, drained: Drained, only: int) -> None:
        """Until so many jobs are done, or nothing is left for now."""
        done: list[Completion] = []
        while True:
            began = time.perf_counter()
            answer = await self.sync(done)
            ended = time.perf_counter()
            if done:
                drained.batch_seconds.append(ended - began)
                drained.marks.append(ended)
                drained.done += len(done)
            done = succeeded(answer.claimed)
            if drained.done >= only:
                await self.sync(done)
                return
            if not done and (answer.next_due_at is None or answer.next_due_at > answer.at + _SOON):
                return


async def drain(
    url: str,
    watch: asyncpg.Connection[asyncpg.Record],
    *,
    k: int,
    connections: int,
    types: list[str],
    only: int | None = None,
) -> Drained:
    """Everything that is ready, or so much of it; checks that it is done."""
    count = only or await watch.fetchval("select count(*) from job_ready where scheduled_at <= now()")
    ended_before = await watch.fetchval("select count(*) from jobs where status = 'SUCCESS'")
    databases = [Database(url, pool_size=1, max_overflow=0) for _ in range(connections)]
    try:
        workers = []
        for database in databases:
            await database.open()
            workers.append(Worker(database, k, types))
            await workers[-1].register(watch)
            await database.ping(database._command_timeout)  # noqa: SLF001 - connects
        backends = [
            psutil.Process(row["pid"])
            for row in await watch.fetch(
                "select pid from pg_stat_activity where application_name = 'schedora' and backend_type = 'client backend'"
                " and pid <> pg_backend_pid()"
            )
        ]
        drained = Drained(count=count)
        wal = await watch.fetchval("select pg_current_wal_lsn()")
        cpu = sum(sum(backend.cpu_times()[:2]) for backend in backends)
        drained.marks.append(time.perf_counter())
        await asyncio.gather(*(worker.work(drained, count) for worker in workers))
        drained.server_cpu_seconds = sum(sum(backend.cpu_times()[:2]) for backend in backends) - cpu
        drained.wal_bytes = await watch.fetchval("select (pg_current_wal_lsn() - $1::pg_lsn)::bigint", wal)
    finally:
        for database in databases:
            await database.close()
    ended = await watch.fetchval("select count(*) from jobs where status = 'SUCCESS'") - ended_before
    if ended < count or (only is None and ended != count):
        raise RuntimeError(f"{count} jobs, {ended} ended")
    return drained


@asynccontextmanager
async def snapshot_held(url: str) -> AsyncIterator[None]:
    """Another session that is idle in a transaction with a snapshot."""
    holder = await asyncpg.connect(url)
    try:
        transaction = holder.transaction(isolation="repeatable_read")
        await transaction.start()
        await holder.fetchval("select count(*) from queues")
        yield
    finally:
        await holder.close()


def spread(values: list[float], digits: int = 0) -> str:
    middle = statistics.median(values)
    return f"{middle:,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


async def sizes(url: str, watch: Any, options: argparse.Namespace) -> None:
    """By the size of a batch and the number of connections."""
    print("| k | connections | jobs/s | server CPU, µs a job | batch, ms | WAL, bytes a job |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    cases = [(k, connections) for connections in options.connections for k in options.k]
    found: dict[tuple[int, int], list[Drained]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for k, connections in cases:
            await empty(watch)
            backlog = Backlog(count=min(options.jobs, 2_000 * k), queues=options.queues, types=options.types)
            await store(watch, backlog)
            await settle(watch)
            found[k, connections].append(
                await drain(url, watch, k=k, connections=connections, types=backlog.names()[1])
            )
    for (k, connections), drains in found.items():
        cpu = [1e6 * one.server_cpu_seconds / one.count for one in drains]
        batch = [1e3 * statistics.median(one.batch_seconds) for one in drains]
        wal = [one.wal_bytes / one.count for one in drains]
        print(
            f"| {k} | {connections} | {spread([one.jobs_per_second for one in drains])} | {spread(cpu, 1)} |"
            f" {spread(batch, 2)} | {statistics.median(wal):,.0f} |"
        )


async def snapshot(url: str, watch: Any, options: argparse.Namespace) -> None:
    """A long drain while another session holds a snapshot, or not; then a trickle under the same snapshot."""
    print("| | jobs/s | each sixth in turn | last to first | trickle: batch, ms, median and 99 % |")
    print("| --- | ---: | --- | ---: | --- |")
    for held in (False, True):
        found, parts, trickles = [], [], []
        for _ in range(options.rounds):
            await empty(watch)
            backlog = Backlog(count=options.jobs, queues=options.queues, types=options.types)
            await store(watch, backlog)
            await settle(watch)
            types = backlog.names()[1]
            async with snapshot_held(url) if held else nullcontext():
                one = await drain(url, watch, k=options.k[0], connections=1, types=types)
                trickles += await trickle(url, watch, types)
            found.append(one.jobs_per_second)
            parts.append(one.parts(6))
        turns = [statistics.median(part) for part in zip(*parts, strict=True)]
        told = " ".join(f"{turn:,.0f}" for turn in turns)
        worst = statistics.quantiles(trickles, n=100)[-1]
        print(
            f"| {'held' if held else 'none'} | {spread(found)} | {told} | {turns[-1] / turns[0]:.2f} |"
            f" {statistics.median(trickles):.2f}, {worst:.2f} |"
        )


async def trickle(url: str, watch: Any, types: list[str], count: int = 250, rate: int = 50) -> list[float]:
    """One job after the other at a steady rate: how long each batch took, in milliseconds."""
    spent = []
    async with Database(url, pool_size=1, max_overflow=0) as database:
        worker = Worker(database, 10, types)
        await worker.register(watch)
        done: list[Completion] = []
        began = time.perf_counter()
        for n in range(count):
            await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
            await store(watch, Backlog(count=1))
            claimed: Sequence[ClaimedJob] = ()
            while not claimed:
                asked = time.perf_counter()
                answer = await worker.sync(done)
                spent.append(1e3 * (time.perf_counter() - asked))
                claimed, done = answer.claimed, []
            done = succeeded(claimed)
    return spent


async def stored(url: str, watch: Any, options: argparse.Namespace) -> None:
    """A drain over others that are delayed, of a lower priority, or finished."""
    delayed = Backlog(count=200_000, priority="9", due="interval '1 day'")
    cases: dict[str, Backlog | int | None] = {
        "none": None,
        "200,000 delayed": delayed,
        "1,000,000 delayed": evolve(delayed, count=1_000_000),
        "1,000,000 of a lower priority": Backlog(count=1_000_000, priority="1"),
        "1,000,000 finished": 1_000_000,
    }
    if options.cases:
        cases = {name: case for name, case in cases.items() if name == "none" or name in options.cases}
    print("| stored | jobs/s | to none |")
    print("| --- | ---: | ---: |")
    rates: list[float] = []
    for name, others in cases.items():
        await empty(watch)
        if isinstance(others, int):
            await finish(watch, others)
        elif others is not None:
            await store(watch, others)
        found = []
        for _ in range(options.rounds):
            await store(watch, Backlog(count=options.jobs))
            await settle(watch)
            one = await drain(url, watch, k=options.k[0], connections=1, types=["type0"], only=options.jobs)
            found.append(one.jobs_per_second)
        rates = rates or found
        ratio = statistics.median(found) / statistics.median(rates)
        print(f"| {name} | {spread(found)} | {ratio:.2f} |")


async def sustained(url: str, watch: Any, options: argparse.Namespace) -> None:
    """A drain with submission going on, so that the backlog stays about the same; autovacuum does what it does."""
    print("| | jobs/s | each sixth in turn | WAL, bytes a job | tables with their indexes, MB |")
    print("| --- | ---: | --- | ---: | --- |")
    await empty(watch)
    for command in options.alter:
        await watch.execute(command)
    await store(watch, Backlog(count=2 * _CHUNK))
    await settle(watch)
    async with snapshot_held(url) if options.held else nullcontext():
        one = Drained(count=options.jobs)
        wal = await watch.fetchval("select pg_current_wal_lsn()")
        async with Database(url, pool_size=1, max_overflow=0) as database:
            worker = Worker(database, options.k[0], ["type0"])
            await worker.register(watch)
            one.marks.append(time.perf_counter())
            submitting = asyncio.create_task(_keep_up(url, one))
            await worker.work(one, options.jobs)
            await submitting
        one.wal_bytes = await watch.fetchval("select (pg_current_wal_lsn() - $1::pg_lsn)::bigint", wal)
    told = " ".join(f"{part:,.0f}" for part in one.parts(6))
    sizes = await watch.fetch(
        "select relname, pg_total_relation_size(oid) / 1e6 as size from pg_class"
        " where relname in ('jobs', 'job_ready', 'job_leases', 'job_counts') order by 1"
    )
    print(
        f"| {'held' if options.held else 'none'} | {one.jobs_per_second:,.0f} | {told} |"
        f" {one.wal_bytes / one.count:,.0f} | {' '.join(f'{row[0]} {row[1]:.0f}' for row in sizes)} |"
    )
    for row in await watch.fetch(
        "select relname, autovacuum_count, n_dead_tup from pg_stat_user_tables where autovacuum_count > 0"
    ):
        print(*row)


async def _keep_up(url: str, drained: Drained) -> None:
    connection = await asyncpg.connect(url)
    try:
        stored = 2 * _CHUNK
        while stored < drained.count + 2 * _CHUNK:
            if stored - drained.done > 2 * _CHUNK:
                await asyncio.sleep(0.01)
                continue
            await store(connection, Backlog(count=_CHUNK))
            stored += _CHUNK
    finally:
        await connection.close()


EXPERIMENTS = {"sizes": sizes, "snapshot": snapshot, "stored": stored, "sustained": sustained}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.batch_sync", description=__doc__)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100, 500, 1_000])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--queues", type=int, default=1)
    parser.add_argument("--types", type=int, default=1)
    parser.add_argument("--cases", nargs="+", default=[], help="of `stored`, besides none")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the server")
    parser.add_argument("--held", action="store_true", help="`sustained` under a snapshot")
    parser.add_argument("--alter", nargs="+", default=[], metavar="SQL", help="before `sustained`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="schedora-batch-") as directory:
        server = start_embedded(Path(directory), dict(pair.split("=", 1) for pair in options.set))
        try:
            migrate(server.url)
            asyncio.run(_run(server.url, options))
        finally:
            server.release()


async def _run(url: str, options: argparse.Namespace) -> None:
    watch = await asyncpg.connect(url)
    try:
        await EXPERIMENTS[options.experiment](url, watch, options)
    finally:
        await watch.close()


if __name__ == "__main__":
    main()
