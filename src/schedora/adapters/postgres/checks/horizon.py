"""Who holds an old snapshot: sessions, prepared transactions, replication slots, standbys."""

from schedora.adapters.postgres.checks.sessions import COLUMNS, server_session, unseen
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.diagnosis.doctor.horizon import Holder, Horizon, Prepared, Slot

# Of other databases only those of standbys count, which ask for all of them. Vacuum holds nothing back, whoever runs it.
# All of them: the one that matters may have begun last, or not tell when, and many are about their work.
_HOLDERS = written(f"""
select
    {COLUMNS}, greatest(age(a.backend_xmin), age(a.backend_xid)) as transactions,
    a.backend_type = 'walsender' as standby
from pg_stat_activity a
where (a.backend_xmin is not null or a.backend_xid is not null or a.state like 'idle in transaction%')
    and (a.datname = current_database() or a.backend_type = 'walsender')
    and a.backend_type is distinct from 'autovacuum worker'
    and a.leader_pid is null
    and a.pid <> pg_backend_pid()
    and not exists (select from pg_stat_progress_vacuum v where v.pid = a.pid)
order by a.xact_start nulls last, a.pid
""")  # noqa: S608 - constants
_PREPARED = written("""
select p.gid, p.owner::text as owner, p.prepared as since, clock_timestamp() - p.prepared as lasting
from pg_prepared_xacts p
where p.database = current_database()
order by p.prepared
limit 50
""")
_SLOTS = written("""
select
    s.slot_name::text as name, s.slot_type as kind, s.active, age(s.xmin) as transactions,
    age(s.catalog_xmin) as catalog_transactions,
    pg_wal_lsn_diff(
        case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end, s.restart_lsn
    )::bigint as retained_bytes
from pg_replication_slots s
order by s.slot_name
limit 50
""")


async def horizon(session: Session) -> Horizon:
    return Horizon(
        holders=[
            Holder(session=server_session(row), transactions=row["transactions"], standby=row["standby"])
            for row in await session.fetch(_HOLDERS)
        ],
        prepared=[
            Prepared(gid=row["gid"], user=row["owner"], since=row["since"], lasting=row["lasting"])
            for row in await session.fetch(_PREPARED)
        ],
        slots=[
            Slot(
                name=row["name"],
                kind=row["kind"],
                active=row["active"],
                transactions=row["transactions"],
                catalog_transactions=row["catalog_transactions"],
                retained_bytes=row["retained_bytes"],
            )
            for row in await session.fetch(_SLOTS)
        ],
        unseen=await unseen(session, "since when a transaction is open, and what it does"),
    )
