"""The register of workers and their heartbeats."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from schedora.adapters.postgres import rows
from schedora.adapters.postgres.arrays import storable
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import load, written
from schedora.application.ports.workers import SilentWorker
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, JobId, WorkerId
from schedora.domain.worker import Worker, WorkerIdentity, WorkerState
from schedora.domain.worker_death import WorkerDeath

_REGISTER = written("""
insert into workers (
    incarnation, worker_id, hostname, pid, version, max_concurrent_jobs, queues, types, status, registered_at,
    last_heartbeat
)
values (
    :incarnation::uuid, :worker_id::text, :hostname::text, :pid::int, :version::text, :max_concurrent_jobs::int,
    :queues::text[], :types::text[], 'ACTIVE', now(), now()
)
on conflict (incarnation) do update
set worker_id = excluded.worker_id,
    hostname = excluded.hostname,
    pid = excluded.pid,
    version = excluded.version,
    max_concurrent_jobs = excluded.max_concurrent_jobs,
    queues = excluded.queues,
    types = excluded.types,
    status = excluded.status,
    last_heartbeat = excluded.last_heartbeat,
    stuck_threads = 0,
    death = null
""")
_BEAT = written("""
update workers
set last_heartbeat = case when status in ('ACTIVE', 'DRAINING') then now() else last_heartbeat end,
    cpu_percent = case when status in ('ACTIVE', 'DRAINING') then :cpu::float8 else cpu_percent end,
    memory_percent = case when status in ('ACTIVE', 'DRAINING') then :memory::float8 else memory_percent end,
    stuck_threads = case when status in ('ACTIVE', 'DRAINING') then :stuck::int else stuck_threads end
where incarnation = :incarnation::uuid
returning status
""")
_SET_STATUS = written(
    "update workers set status = :status::text where incarnation = any(:incarnations::uuid[])"
)
# Waits for whatever heartbeats wait for, such as a lock on the table, and looks at the clock after that: while nobody can be
# heard nobody looks. Clocks that were set back make a gap, those of transactions that overtook each other do not.
_WATCH = written("""
with heard as (
    update workers set status = status where false
),
look as materialized (
    select clock_timestamp() as at
)
insert into worker_watch (watched_since, watched_at) select at, at from look
on conflict (one) do update
set watched_since = case
        when excluded.watched_at - worker_watch.watched_at between -:gap_max::interval and :gap_max::interval
        then worker_watch.watched_since
        else excluded.watched_since
    end,
    watched_at = case
        when excluded.watched_at - worker_watch.watched_at between -:gap_max::interval and :gap_max::interval
        then greatest(worker_watch.watched_at, excluded.watched_at)
        else excluded.watched_at
    end
returning greatest((select at from look) - watched_since, interval '0') as watched_for
""")
_SILENT = written("""
select w.incarnation, w.worker_id, now() - w.last_heartbeat as silent_for, w.death is not null as seen_dead
from workers w
where w.status in ('ACTIVE', 'DRAINING')
    and (w.last_heartbeat < now() - :longer_than::interval or w.death is not null)
order by w.incarnation
""")
# One after the other and passing over what others declare, so that any number of reapers can do this at once.
_DECLARE_STALE = written("""
update workers
set status = 'STALE'
where incarnation in (
    select w.incarnation
    from workers w
    where w.incarnation = any(:incarnations::uuid[])
        and w.status in ('ACTIVE', 'DRAINING')
        and (w.last_heartbeat < now() - :silent_for::interval or w.death is not null)
    order by w.incarnation
    for update skip locked
)
returning incarnation
""")
_NOTE_DEATH = written("""
update workers
set death = :death::text::json
where incarnation = :incarnation::uuid and status <> 'STOPPED'
returning incarnation
""")
_DEATHS = written("""
select w.incarnation, w.death::text as death
from workers w
where w.incarnation = any(:incarnations::uuid[]) and w.death is not null
""")
_PRUNE = written("""
delete from workers
where incarnation in (
    select w.incarnation
    from workers w
    where w.status not in ('ACTIVE', 'DRAINING') and w.last_heartbeat < now() - :silent_for::interval
        and not exists (select from job_leases l where l.owner = w.incarnation)
    order by w.incarnation
    for update skip locked
)
returning incarnation
""")
_BY_INCARNATION = written("""
{full_workers}
where workers.incarnation = any(:incarnations::uuid[])
order by workers.registered_at desc, workers.incarnation desc
""")
_NAMED = written("""
{full_workers}
where workers.worker_id = :worker_id::text
order by workers.registered_at desc, workers.incarnation desc
""")
_REGISTERED = written("""
{full_workers}
where workers.status = any(:states::text[])
order by workers.registered_at desc, workers.incarnation desc
""")


class PostgresWorkers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, identity: WorkerIdentity, incarnation: IncarnationId) -> Worker:
        await self._database.fetch(
            _REGISTER,
            incarnation=incarnation,
            worker_id=identity.worker_id,
            hostname=identity.hostname,
            pid=identity.pid,
            version=identity.version,
            max_concurrent_jobs=identity.max_concurrent_jobs,
            queues=list(identity.queues),
            types=list(identity.types),
        )
        (worker,) = await self._read([incarnation])
        return worker

    async def beat(
        self,
        incarnation: IncarnationId,
        *,
        cpu_percent: float | None,
        memory_percent: float | None,
        stuck_threads: int = 0,
    ) -> WorkerState | None:
        beaten = await self._database.fetch(
            _BEAT, incarnation=incarnation, cpu=cpu_percent, memory=memory_percent, stuck=stuck_threads
        )
        return WorkerState(beaten[0]["status"]) if beaten else None

    async def set_status(self, incarnations: Collection[IncarnationId], status: WorkerState) -> None:
        await self._database.fetch(_SET_STATUS, incarnations=sorted(incarnations), status=status.value)

    async def named(self, worker_id: WorkerId) -> list[Worker]:
        return [rows.worker(row) for row in await self._database.fetch(_NAMED, worker_id=worker_id)]

    async def registered(self, states: Collection[WorkerState] = ()) -> list[Worker]:
        names = [state.value for state in states or WorkerState]
        return [rows.worker(row) for row in await self._database.fetch(_REGISTERED, states=names)]

    async def watch(self, gap_max: timedelta) -> timedelta:
        (row,) = await self._database.fetch(_WATCH, gap_max=gap_max)
        watched_for: timedelta = row["watched_for"]
        return watched_for

    async def silent(self, longer_than: timedelta) -> list[SilentWorker]:
        return [
            SilentWorker(
                incarnation=IncarnationId(row["incarnation"]),
                worker_id=WorkerId(row["worker_id"]),
                silent_for=row["silent_for"],
                seen_dead=row["seen_dead"],
            )
            for row in await self._database.fetch(_SILENT, longer_than=longer_than)
        ]

    async def declare_stale(
        self, incarnations: Collection[IncarnationId], silent_for: timedelta
    ) -> list[Worker]:
        stale = await self._database.fetch(
            _DECLARE_STALE, incarnations=sorted(incarnations), silent_for=silent_for
        )
        return await self._read([row["incarnation"] for row in stale])

    async def note_death(self, incarnation: IncarnationId, death: WorkerDeath) -> bool:
        document = orjson.dumps(
            {
                "how": storable(death.how),
                "stack": death.stack and storable(death.stack),
                "lines": {str(job_id): list(map(storable, lines)) for job_id, lines in death.lines.items()},
            }
        ).decode()
        return bool(await self._database.fetch(_NOTE_DEATH, incarnation=incarnation, death=document))

    async def deaths(self, incarnations: Collection[IncarnationId]) -> Mapping[IncarnationId, WorkerDeath]:
        found = await self._database.fetch(_DEATHS, incarnations=sorted(incarnations))
        return {IncarnationId(row["incarnation"]): _death(orjson.loads(row["death"])) for row in found}

    async def prune(self, older_than: timedelta) -> int:
        return len(await self._database.fetch(_PRUNE, silent_for=older_than))

    async def lost_jobs(self, limit: int) -> list[ClaimedJob]:
        lost = await self._database.fetch(load("lost_jobs"), limit=limit)
        return [rows.claimed_job(row, row["owner"], row["worker_id"]) for row in lost]

    async def _read(self, incarnations: list[IncarnationId]) -> list[Worker]:
        found = await self._database.fetch(_BY_INCARNATION, incarnations=incarnations)
        return [rows.worker(row) for row in found]


def _death(document: Any) -> WorkerDeath:
    return WorkerDeath(
        how=document["how"],
        stack=document["stack"],
        lines={JobId(UUID(job_id)): tuple(lines) for job_id, lines in document["lines"].items()},
    )
