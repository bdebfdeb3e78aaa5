"""Queues: pausing them, how long they keep what has ended, and how full they are."""

from collections import defaultdict
from datetime import timedelta

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_counts import fold_counts
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import load, written
from schedora.application.ports.queues import QueueStats, Stats
from schedora.domain.ids import DEFAULT_TENANT
from schedora.domain.job_state import JobState
from schedora.domain.queue import Queue
from schedora.domain.retention import QueueRetention

_PAUSE = written("""
insert into queues (tenant_id, name, paused_at)
values (:tenant_id::int, :name::text, now())
on conflict (tenant_id, name) do update set paused_at = coalesce(queues.paused_at, excluded.paused_at)
returning name, paused_at, retention_success, retention_canceled, retention_dead
""")
_RESUME = written("""
insert into queues (tenant_id, name)
values (:tenant_id::int, :name::text)
on conflict (tenant_id, name) do update set paused_at = null
returning name, paused_at, retention_success, retention_canceled, retention_dead
""")
_RETAIN = written("""
insert into queues (tenant_id, name, retention_success, retention_canceled, retention_dead)
values (
    :tenant_id::int, :name::text, :retention_success::interval, :retention_canceled::interval,
    :retention_dead::interval
)
on conflict (tenant_id, name) do update
set retention_success = excluded.retention_success,
    retention_canceled = excluded.retention_canceled,
    retention_dead = excluded.retention_dead
returning name, paused_at, retention_success, retention_canceled, retention_dead
""")
_ALL = written("""
select q.name, q.paused_at, q.retention_success, q.retention_canceled, q.retention_dead
from queues q
where q.tenant_id = :tenant_id::int
order by q.name
""")
_HANDLED = written(
    "select distinct unnest(w.types) as type from workers w where w.status in ('ACTIVE', 'DRAINING')"
)


class PostgresQueues:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def pause(self, name: str) -> Queue:
        (row,) = await self._database.fetch(_PAUSE, tenant_id=DEFAULT_TENANT, name=name)
        return _queue(row)

    async def resume(self, name: str) -> Queue:
        (row,) = await self._database.fetch(_RESUME, tenant_id=DEFAULT_TENANT, name=name)
        return _queue(row)

    async def set_retention(self, name: str, retention: QueueRetention) -> Queue:
        (row,) = await self._database.fetch(
            _RETAIN,
            tenant_id=DEFAULT_TENANT,
            name=name,
            retention_success=retention.success,
            retention_canceled=retention.canceled,
            retention_dead=retention.dead,
        )
        return _queue(row)

    async def stats(self) -> Stats:
        counts: dict[str, dict[JobState, int]] = defaultdict(lambda: defaultdict(int))
        oldest: dict[str, timedelta] = {}
        waiting_types: set[str] = set()
        for row in await self._database.fetch(load("stats"), tenant_id=DEFAULT_TENANT):
            queue = row["queue"]
            counts[queue][JobState(row["status"])] += row["amount"]
            if row["type"] is not None:
                waiting_types.add(row["type"])
            if row["oldest_for"] is not None:
                oldest[queue] = max(row["oldest_for"], oldest.get(queue, timedelta(0)))
        # Read after them, so that it knows each queue that they are in.
        known = [_queue(row) for row in await self._database.fetch(_ALL, tenant_id=DEFAULT_TENANT)]
        handled = {row["type"] for row in await self._database.fetch(_HANDLED)}
        await fold_counts(self._database)
        return Stats(
            by_queue={
                queue.name: QueueStats(
                    by_status={state: count for state, count in counts[queue.name].items() if count},
                    paused=queue.paused,
                    oldest_ready=oldest.get(queue.name),
                    retention=queue.retention,
                )
                for queue in known
            },
            unhandled_types=tuple(sorted(waiting_types - handled)),
        )


def _queue(row: Row) -> Queue:
    return Queue(name=row["name"], paused_at=row["paused_at"], retention=_retention(row))


def _retention(row: Row) -> QueueRetention:
    return QueueRetention(
        success=row["retention_success"], canceled=row["retention_canceled"], dead=row["retention_dead"]
    )
