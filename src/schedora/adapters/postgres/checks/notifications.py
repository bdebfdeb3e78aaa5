"""How full the queue of notifications is, and who may hold it."""

from schedora.adapters.postgres.checks.sessions import COLUMNS, server_session, unseen
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.diagnosis.doctor.notifications import USAGE_MIN, Notifications

_USAGE = written("select pg_notification_queue_usage() as usage")
# Of any database: they share the queue.
_SUSPECTS = written(f"""
select {COLUMNS}
from pg_stat_activity a
where a.xact_start is not null and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
order by a.xact_start, a.pid
limit 3
""")  # noqa: S608 - constants


async def notifications(session: Session) -> Notifications:
    (row,) = await session.fetch(_USAGE)
    if row["usage"] < USAGE_MIN:
        return Notifications(usage=row["usage"])
    return Notifications(
        usage=row["usage"],
        suspects=[server_session(suspect) for suspect in await session.fetch(_SUSPECTS)],
        unseen=await unseen(session, "since when a transaction is open"),
    )
