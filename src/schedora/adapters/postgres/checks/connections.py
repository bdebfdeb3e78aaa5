"""How many connections there may be, and are."""

from schedora.adapters.postgres.process_reports import fresh_reports
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.application.ports.examination import Expected
from schedora.application.reported import pools
from schedora.diagnosis.doctor.connections import PER_WORKER, Connections, Limit, Pools
from schedora.domain.process import FRESH_FOR

# Of sessions of other users the server does not tell what they are, unless we may see all.
_USED = written("""
select
    count(*)::int as of_server,
    (count(*) filter (where a.datname = current_database()))::int as of_database,
    (count(*) filter (where a.usename = current_user))::int as of_role,
    (count(*) filter (where a.datname = current_database() and a.application_name = 'schedora'))::int as ours
from pg_stat_activity a
where coalesce(a.backend_type, 'client backend') = 'client backend' and a.usesysid is not null and a.datid is not null
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
# Those that tell nothing of themselves: of a release that did not yet.
_SILENT_WORKERS = written("""
select distinct w.hostname, w.pid
from workers w
where w.status in ('ACTIVE', 'DRAINING')
    and not exists (
        select from processes p
        where p.hostname = w.hostname and p.pid = w.pid and p.seen_at >= now() - :fresh_for::interval
    )
""")


async def connections(session: Session, *, expected: Expected, pooled: bool) -> Connections:
    """``pooled``: what processes may ask for they ask of a pooler, and how many that opens here it does not tell."""
    (used,) = await session.fetch(_USED)
    (limits,) = await session.fetch(_LIMITS)
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
        pools=() if pooled else await _pools(session, expected),
    )


async def _pools(session: Session, expected: Expected) -> list[Pools]:
    silent = await session.fetch(_SILENT_WORKERS, fresh_for=FRESH_FOR)
    steady = expected.pool_size + PER_WORKER
    return [
        *pools(await fresh_reports(session, FRESH_FOR), overflow=expected.pool_overflow),
        *(Pools(steady=steady, most=steady + expected.pool_overflow) for _ in silent),
    ]
