"""Queues: pausing them, and how full they are."""

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import bindparam, func, null, select
from sqlalchemy.dialects.postgresql import insert

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import among, compiled, load
from schedora.adapters.postgres.tables import queues, workers
from schedora.application.ports.queues import QueueStats, Stats
from schedora.domain.ids import DEFAULT_TENANT
from schedora.domain.job_state import JobState
from schedora.domain.queue import Queue
from schedora.domain.worker import LIVE

_FEW = 100
"""So many rows of kept counts are summed up as fast as one."""

_opened = insert(queues).values(tenant_id=bindparam("tenant_id"), name=bindparam("name"))
_PAUSE = compiled(
    _opened.values(paused_at=func.now())
    .on_conflict_do_update(
        index_elements=[queues.c.tenant_id, queues.c.name],
        set_={"paused_at": func.coalesce(queues.c.paused_at, func.now())},
    )
    .returning(queues.c.paused_at)
)
_RESUME = compiled(
    _opened.on_conflict_do_update(
        index_elements=[queues.c.tenant_id, queues.c.name], set_={"paused_at": null()}
    ).returning(queues.c.paused_at)
)
_HANDLED = compiled(
    select(func.unnest(workers.c.types).label("type")).where(among(workers.c.status, LIVE)).distinct()
)


class PostgresQueues:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def pause(self, name: str) -> Queue:
        (row,) = await self._database.fetch(_PAUSE, tenant_id=DEFAULT_TENANT, name=name)
        return Queue(name=name, paused_at=row["paused_at"])

    async def resume(self, name: str) -> Queue:
        await self._database.fetch(_RESUME, tenant_id=DEFAULT_TENANT, name=name)
        return Queue(name=name)

    async def stats(self) -> Stats:
        counts: dict[str, dict[JobState, int]] = defaultdict(lambda: defaultdict(int))
        paused: dict[str, bool] = {}
        oldest: dict[str, timedelta] = {}
        waiting_types: set[str] = set()
        for row in await self._database.fetch(load("stats"), tenant_id=DEFAULT_TENANT):
            queue = row["queue"]
            if row["status"] is None:
                paused[queue] = row["paused_at"] is not None
                continue
            counts[queue][JobState(row["status"])] += row["amount"]
            if row["type"] is not None:
                waiting_types.add(row["type"])
            if row["oldest_for"] is not None:
                oldest[queue] = max(row["oldest_for"], oldest.get(queue, timedelta(0)))
        handled = {row["type"] for row in await self._database.fetch(_HANDLED)}
        await self._database.fetch(load("fold_counts"), few=_FEW)
        return Stats(
            by_queue={
                name: QueueStats(
                    by_status={state: count for state, count in counts[name].items() if count},
                    paused=paused[name],
                    oldest_ready=oldest.get(name),
                )
                for name in sorted(paused)
            },
            unhandled_types=tuple(sorted(waiting_types - handled)),
        )
