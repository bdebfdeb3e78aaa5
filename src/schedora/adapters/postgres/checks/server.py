"""What the server is, and the settings of a session of Schedora's."""

from datetime import timedelta

from schedora.adapters.postgres.checks.sessions import unseen
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.diagnosis.doctor.server import Server

# Those of this transaction are not its session's: what was set for it alone is told by reset_val.
_SERVER = written("""
select
    current_setting('server_version_num')::int / 10000 as version, current_setting('server_version') as version_text,
    current_database()::text as database, current_user::text as "user", pg_is_in_recovery() as standby,
    current_setting('default_transaction_read_only')::bool as read_only, current_setting('fsync')::bool as fsync,
    current_setting('full_page_writes')::bool as full_page_writes,
    current_setting('synchronous_commit') as synchronous_commit,
    current_setting('default_transaction_isolation') as isolation
""")
_TIMEOUTS = written("""
select s.name, case when s.unit = 'ms' then s.reset_val::bigint end as milliseconds
from pg_settings s
where s.name = any(:names::text[]) and s.reset_val <> '0'
""")
# Only who may see all sessions is told which standbys are synchronous.
_STANDBYS = written("""
select
    current_setting('synchronous_standby_names') <> ''
        and current_setting('synchronous_commit') not in ('off', 'local') as awaited,
    pg_has_role(current_user, 'pg_read_all_stats', 'usage') as told,
    exists (select from pg_stat_replication r where r.sync_state in ('sync', 'quorum')) as there
""")
_NAMES = ("lock_timeout", "transaction_timeout", "idle_session_timeout")


async def server(session: Session) -> Server:
    (row,) = await session.fetch(_SERVER)
    limits = {
        limit["name"]: timedelta(milliseconds=limit["milliseconds"])
        for limit in await session.fetch(_TIMEOUTS, names=list(_NAMES))
    }
    (standbys,) = await session.fetch(_STANDBYS)
    told, missing = standbys["told"], standbys["awaited"] and not standbys["there"]
    return Server(
        version=row["version"],
        version_text=row["version_text"],
        database=row["database"],
        user=row["user"],
        standby=row["standby"],
        read_only=row["read_only"],
        fsync=row["fsync"],
        full_page_writes=row["full_page_writes"],
        synchronous_commit=row["synchronous_commit"],
        isolation=row["isolation"],
        standbys_missing=missing and told,
        lock_timeout=limits.get("lock_timeout"),
        transaction_timeout=limits.get("transaction_timeout"),
        idle_session_timeout=limits.get("idle_session_timeout"),
        unseen=await unseen(session, "whether any is a standby that commits wait for")
        if missing and not told
        else None,
    )
