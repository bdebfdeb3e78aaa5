"""The register of workers and their heartbeats."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import (
    ARRAY,
    Interval,
    Text,
    Uuid,
    bindparam,
    case,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from schedora.adapters.postgres import rows
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import among, compiled, load
from schedora.adapters.postgres.tables import job_leases, workers
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, WorkerId
from schedora.domain.worker import LIVE, Worker, WorkerIdentity, WorkerState

_LIVE = among(workers.c.status, LIVE)
_THESE = workers.c.incarnation == func.any(bindparam("incarnations", type_=ARRAY(Uuid)))
_SILENT = workers.c.last_heartbeat < func.now() - bindparam("silent_for", type_=Interval)
_TOLD = ("worker_id", "hostname", "pid", "version", "max_concurrent_jobs", "queues", "types")

_told = insert(workers).values(
    incarnation=bindparam("incarnation"),
    status=WorkerState.ACTIVE.value,
    registered_at=func.now(),
    last_heartbeat=func.now(),
    **{name: bindparam(name) for name in _TOLD},
)
_REGISTER = compiled(
    _told.on_conflict_do_update(
        index_elements=[workers.c.incarnation],
        set_={name: _told.excluded[name] for name in (*_TOLD, "status", "last_heartbeat")},
    ).returning(workers.c.incarnation)
)
_BEAT = compiled(
    update(workers)
    .where(workers.c.incarnation == bindparam("beating"))
    .values(
        last_heartbeat=case((_LIVE, func.now()), else_=workers.c.last_heartbeat),
        cpu_percent=case(
            (_LIVE, bindparam("cpu", type_=workers.c.cpu_percent.type)), else_=workers.c.cpu_percent
        ),
        memory_percent=case(
            (_LIVE, bindparam("memory", type_=workers.c.memory_percent.type)), else_=workers.c.memory_percent
        ),
    )
    .returning(workers.c.status)
)
_SET_STATUS = compiled(
    update(workers).where(_THESE).values(status=bindparam("new_status")).returning(workers.c.incarnation)
)
_DECLARE_STALE = compiled(
    # One after the other and passing over what others declare, so that any number of reapers can do this at once.
    update(workers)
    .where(
        workers.c.incarnation.in_(
            select(workers.c.incarnation)
            .where(_LIVE, _SILENT)
            .order_by(workers.c.incarnation)
            .with_for_update(skip_locked=True)
        )
    )
    .values(status=WorkerState.STALE.value)
    .returning(workers.c.incarnation)
)
_PRUNE = compiled(
    delete(workers)
    .where(
        workers.c.incarnation.in_(
            select(workers.c.incarnation)
            .where(~_LIVE, _SILENT, ~exists().where(job_leases.c.owner == workers.c.incarnation))
            .order_by(workers.c.incarnation)
            .with_for_update(skip_locked=True)
        )
    )
    .returning(workers.c.incarnation)
)
_READ = select(
    *workers.columns,
    select(func.count(job_leases.c.job_id))
    .where(job_leases.c.owner == workers.c.incarnation)
    .scalar_subquery()
    .label("running_jobs"),
).order_by(workers.c.registered_at.desc(), workers.c.incarnation.desc())
_BY_INCARNATION = compiled(_READ.where(_THESE))
_NAMED = compiled(_READ.where(workers.c.worker_id == bindparam("worker_id")))
_REGISTERED = compiled(_READ.where(workers.c.status == func.any(bindparam("states", type_=ARRAY(Text)))))


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
        self, incarnation: IncarnationId, *, cpu_percent: float | None, memory_percent: float | None
    ) -> WorkerState | None:
        beaten = await self._database.fetch(
            _BEAT, beating=incarnation, cpu=cpu_percent, memory=memory_percent
        )
        return WorkerState(beaten[0]["status"]) if beaten else None

    async def set_status(self, incarnations: Collection[IncarnationId], status: WorkerState) -> None:
        await self._database.fetch(_SET_STATUS, incarnations=sorted(incarnations), new_status=status.value)

    async def named(self, worker_id: WorkerId) -> list[Worker]:
        return [rows.worker(row) for row in await self._database.fetch(_NAMED, worker_id=worker_id)]

    async def registered(self, states: Collection[WorkerState] = ()) -> list[Worker]:
        names = [state.value for state in states or WorkerState]
        return [rows.worker(row) for row in await self._database.fetch(_REGISTERED, states=names)]

    async def declare_stale(self, silent_for: timedelta) -> list[Worker]:
        stale = await self._database.fetch(_DECLARE_STALE, silent_for=silent_for)
        return await self._read([row["incarnation"] for row in stale])

    async def prune(self, older_than: timedelta) -> int:
        return len(await self._database.fetch(_PRUNE, silent_for=older_than))

    async def lost_jobs(self, limit: int) -> list[ClaimedJob]:
        lost = await self._database.fetch(load("lost_jobs"), limit=limit)
        return [rows.claimed_job(row, row["owner"], row["worker_id"]) for row in lost]

    async def _read(self, incarnations: list[IncarnationId]) -> list[Worker]:
        found = await self._database.fetch(_BY_INCARNATION, incarnations=incarnations)
        return [rows.worker(row) for row in found]
