"""Queues: pausing them, how long they keep what has ended, and how full they are."""

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import Interval, bindparam, func, null, select
from sqlalchemy.dialects.postgresql import insert

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_counts import fold_counts
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import among, compiled, load
from schedora.adapters.postgres.tables import queues, workers
from schedora.application.ports.queues import QueueStats, Stats
from schedora.domain.ids import DEFAULT_TENANT
from schedora.domain.job_state import JobState
from schedora.domain.queue import Queue
from schedora.domain.retention import QueueRetention
from schedora.domain.worker import LIVE

_SPANS = (queues.c.retention_success, queues.c.retention_canceled, queues.c.retention_dead)
_TOLD = (queues.c.name, queues.c.paused_at, *_SPANS)

_opened = insert(queues).values(tenant_id=bindparam("tenant_id"), name=bindparam("name"))
_PAUSE = compiled(
    _opened.values(paused_at=func.now())
    .on_conflict_do_update(
        index_elements=[queues.c.tenant_id, queues.c.name],
        set_={"paused_at": func.coalesce(queues.c.paused_at, func.now())},
    )
    .returning(*_TOLD)
)
_RESUME = compiled(
    _opened.on_conflict_do_update(
        index_elements=[queues.c.tenant_id, queues.c.name], set_={"paused_at": null()}
    ).returning(*_TOLD)
)
_spans = {column.name: bindparam(column.name, type_=Interval) for column in _SPANS}
_RETAIN = compiled(
    _opened.values(_spans)
    .on_conflict_do_update(index_elements=[queues.c.tenant_id, queues.c.name], set_=_spans)
    .returning(*_TOLD)
)
_ALL = compiled(select(*_TOLD).where(queues.c.tenant_id == bindparam("tenant_id")).order_by(queues.c.name))
_HANDLED = compiled(
    select(func.unnest(workers.c.types).label("type")).where(among(workers.c.status, LIVE)).distinct()
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
