"""Workers, what waits for them, and what has died lately."""

import attrs

from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import load, written
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.examination import Expected
from schedora.diagnosis.doctor.work import DIED_WITHIN, Crew, Died, Waiting, Work
from schedora.domain.ids import DEFAULT_TENANT
from schedora.domain.worker import WorkerState

# All that live: what none of them would take, nobody would. Of those that were lost some are enough.
_CREW = written("""
select
    w.worker_id, w.hostname, w.version, w.status, w.queues, w.types, clock_timestamp() - w.last_heartbeat as silent_for
from workers w
where w.status in ('ACTIVE', 'DRAINING')
    or w.incarnation in (select o.incarnation from workers o where o.status = 'STALE' limit 1000)
order by w.last_heartbeat
""")
_PAUSED = written(
    "select q.name from queues q where q.tenant_id = :tenant_id::int and q.paused_at is not null"
)
# The newest dead jobs alone: how many there are is no matter.
_DIED = written("""
select d.queue, count(*)::int as jobs
from (
    select j.queue, j.dead_at from jobs j where j.dead_at is not null order by j.job_id desc limit 1000
) d
where d.dead_at >= now() - :within::interval
group by d.queue
order by d.queue
""")


async def work(session: Session, *, expected: Expected) -> Work:
    """What waits is read last: where an old transaction makes that slow, the rest is told all the same."""
    seen = Work(
        version=expected.version,
        heartbeat_timeout=expected.heartbeat_timeout,
        crew=[
            Crew(
                worker=row["worker_id"],
                host=row["hostname"],
                version=row["version"],
                status=WorkerState(row["status"]),
                queues=tuple(row["queues"]),
                types=frozenset(row["types"]),
                silent_for=row["silent_for"],
            )
            for row in await session.fetch(_CREW)
        ],
        paused=frozenset(row["name"] for row in await session.fetch(_PAUSED, tenant_id=DEFAULT_TENANT)),
        died=[
            Died(queue=row["queue"], jobs=row["jobs"])
            for row in await session.fetch(_DIED, within=DIED_WITHIN)
        ],
    )
    try:
        lanes = await session.fetch(load("due_lanes"), tenant_id=DEFAULT_TENANT)
    except StoreUnavailable as error:
        return attrs.evolve(seen, unseen=f"it can't be seen what waits: {error}")
    return attrs.evolve(
        seen,
        waiting=[Waiting(queue=row["queue"], type=row["type"], oldest=row["oldest"]) for row in lanes],
    )
