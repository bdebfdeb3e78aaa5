"""How many connections there may be, and are."""

from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.application.ports.examination import Expected
from schedora.domain.checks.connections import Connections, Limit

_USED = written("""
select
    count(*)::int as of_server,
    (count(*) filter (where a.datname = current_database()))::int as of_database,
    (count(*) filter (where a.usename = current_user))::int as of_role,
    (count(*) filter (where a.datname = current_database() and a.application_name = 'schedora'))::int as ours
from pg_stat_activity a
where a.backend_type = 'client backend'
""")
# reserved_connections is there from 16 on, and its role may use them; superusers may use all.
_LIMITS = written("""
select
    current_setting('max_connections')::int as most,
    current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true), '0')::int as reserved,
    r.rolsuper as superuser, r.rolconnlimit as of_role, d.datconnlimit as of_database
from pg_roles r
cross join pg_database d
where r.rolname = current_user and d.datname = current_database()
""")
_LIVE = written("""
select count(*)::int as workers, count(distinct (w.hostname, w.pid))::int as processes
from workers w
where w.status in ('ACTIVE', 'DRAINING')
""")


async def connections(session: Session, *, expected: Expected) -> Connections:
    (used,) = await session.fetch(_USED)
    (limits,) = await session.fetch(_LIMITS)
    (live,) = await session.fetch(_LIVE)
    reserved = 0 if limits["superuser"] else limits["reserved"]
    found = [Limit(setting="max_connections", most=limits["most"] - reserved, used=used["of_server"])]
    if limits["of_database"] >= 0:
        found.append(
            Limit(
                setting="CONNECTION LIMIT of the database",
                most=limits["of_database"],
                used=used["of_database"],
            )
        )
    if limits["of_role"] >= 0:
        found.append(
            Limit(setting="CONNECTION LIMIT of the role", most=limits["of_role"], used=used["of_role"])
        )
    return Connections(
        limits=tuple(found),
        ours=used["ours"],
        processes=max(1, live["processes"]),
        workers=live["workers"],
        pool_size=expected.pool_size,
        pool_overflow=expected.pool_overflow,
    )
