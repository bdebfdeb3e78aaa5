"""Who waits for a lock, for how long, and behind whom."""

from collections.abc import Sequence

from schedora.adapters.postgres.checks.sessions import COLUMNS, server_session, unseen
from schedora.adapters.postgres.session import Row, Session
from schedora.adapters.postgres.statements import written
from schedora.diagnosis.doctor.locks import LockWait, LockWaits

# Cheap: only where somebody waits are the locks themselves looked at, which holds up the whole server for a moment.
_WAITING = written("""
select a.pid
from pg_stat_activity a
where a.wait_event_type = 'Lock' and a.datname = current_database() and a.application_name = 'schedora'
    and a.pid <> pg_backend_pid()
order by a.query_start
limit 10
""")
# Who stands in the name of another role does not tell everybody whether it waits.
_SECRETIVE = written("""
select exists (
    select
    from pg_stat_activity a
    where a.datname = current_database() and a.application_name = 'schedora' and not pg_has_role(a.usesysid, 'usage')
) as secretive
""")
_WAITS = written(f"""
select
    {COLUMNS}, clock_timestamp() - coalesce(l.waitstart, a.query_start) as waiting,
    coalesce(l.relation::regclass::text, l.locktype) as "on"
from pg_stat_activity a
join pg_locks l on l.pid = a.pid and not l.granted
where a.pid = any(:pids::int[])
order by waiting desc
""")  # noqa: S608 - constants
# A prepared transaction has no session, and the server calls it 0: which one it is, the lock on its own id tells.
_LINE = written("""
with recursive stander (pid) as (
    select unnest(:pids::int[])
    union
    select unnest(pg_blocking_pids(s.pid)) from stander s
)
select
    s.pid, pg_blocking_pids(s.pid) as blockers,
    (
        select min(p.gid)
        from pg_locks l
        join pg_locks held on held.locktype = l.locktype and held.database is not distinct from l.database
            and held.relation is not distinct from l.relation
            and held.transactionid is not distinct from l.transactionid
        join pg_locks own on own.virtualtransaction = held.virtualtransaction and own.pid is null
        join pg_prepared_xacts p on p.transaction = own.transactionid
        where l.pid = s.pid and not l.granted and held.pid is null and held.granted
    ) as prepared
from stander s
""")
_SESSIONS = written(f"""
select {COLUMNS}
from pg_stat_activity a
where a.pid = any(:pids::int[])
order by a.xact_start nulls last
""")  # noqa: S608 - constants


async def locks(session: Session) -> LockWaits:
    pids = [row["pid"] for row in await session.fetch(_WAITING)]
    if not pids:
        (others,) = await session.fetch(_SECRETIVE)
        return LockWaits(
            unseen=await unseen(session, "who waits for a lock") if others["secretive"] else None
        )
    waits = await session.fetch(_WAITS, pids=pids)
    line = _Line(await session.fetch(_LINE, pids=pids))
    before = {wait["pid"]: line.before(wait["pid"]) for wait in waits}
    known = {
        row["pid"]: server_session(row)
        for row in await session.fetch(_SESSIONS, pids=sorted(set().union(*before.values())))
    }
    return LockWaits(
        waits=[
            LockWait(
                session=server_session(wait),
                waiting=wait["waiting"],
                on=wait["on"],
                blockers=[
                    blocker for pid, blocker in known.items() if pid in line.heads(before[wait["pid"]])
                ],
                prepared=line.prepared({wait["pid"], *before[wait["pid"]]}),
            )
            for wait in waits
        ],
        unseen=await unseen(session, "what those do who hold a lock"),
    )


class _Line:
    """Who stands before whom."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._blockers: dict[int, Sequence[int]] = {row["pid"]: row["blockers"] for row in rows}
        self._prepared: dict[int, str | None] = {row["pid"]: row["prepared"] for row in rows}

    def before(self, pid: int) -> set[int]:
        """All that stand before this one, however far."""
        found: set[int] = set()
        added = set(self._blockers.get(pid, ()))
        while added:
            found |= added
            added = {one for stander in added for one in self._blockers.get(stander, ())} - found
        return found

    def heads(self, pids: set[int]) -> set[int]:
        """Those that wait for nobody: to end any other is of no use."""
        return {pid for pid in pids if not self._blockers.get(pid)}

    def prepared(self, pids: set[int]) -> str | None:
        """A prepared transaction that one of these waits for."""
        return next((gid for pid in sorted(pids) if (gid := self._prepared.get(pid)) is not None), None)
