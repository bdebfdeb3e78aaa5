"""Who waits for a lock, for how long, and behind whom."""

from schedora.adapters.postgres.checks.sessions import COLUMNS, server_session, unseen
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.domain.checks.locks import LockWait, LockWaits

# Cheap: only where somebody waits are the locks themselves looked at, which holds up the whole server for a moment.
_WAITING = written("""
select a.pid
from pg_stat_activity a
where a.wait_event_type = 'Lock' and a.datname = current_database() and a.application_name = 'schedora'
    and a.pid <> pg_backend_pid()
order by a.query_start
limit 10
""")
_WAITS = written(f"""
select
    {COLUMNS}, clock_timestamp() - coalesce(l.waitstart, a.query_start) as waiting,
    coalesce(l.relation::regclass::text, l.locktype) as "on", pg_blocking_pids(a.pid) as blockers
from pg_stat_activity a
join pg_locks l on l.pid = a.pid and not l.granted
where a.pid = any(:pids::int[])
order by waiting desc
""")  # noqa: S608 - constants
_SESSIONS = written(f"""
select {COLUMNS}
from pg_stat_activity a
where a.pid = any(:pids::int[])
order by a.xact_start nulls last
""")  # noqa: S608 - constants


async def locks(session: Session) -> LockWaits:
    pids = [row["pid"] for row in await session.fetch(_WAITING)]
    if not pids:  # Schedora's own sessions are seen in any case
        return LockWaits()
    waits = await session.fetch(_WAITS, pids=pids)
    blockers = sorted({pid for wait in waits for pid in wait["blockers"] if pid})
    known = {row["pid"]: server_session(row) for row in await session.fetch(_SESSIONS, pids=blockers)}
    return LockWaits(
        waits=[
            LockWait(
                session=server_session(wait),
                waiting=wait["waiting"],
                on=wait["on"],
                blockers=[known[pid] for pid in wait["blockers"] if pid in known],
            )
            for wait in waits
        ],
        unseen=await unseen(session, "what those do who hold a lock"),
    )
