"""Sessions at the server, by what ``pg_stat_activity`` tells of them."""

from schedora.adapters.postgres.session import Row, Session
from schedora.adapters.postgres.statements import written
from schedora.diagnosis.doctor.sessions import ServerSession, beginning_of

# Columns of a session, for every statement that tells of any.
COLUMNS = """
    a.pid, coalesce(a.application_name, '') as application_name, a.usename::text as "user", a.datname::text as database,
    host(a.client_addr) as client, a.state, a.xact_start as since, clock_timestamp() - a.xact_start as lasting,
    left(a.query, 1000) as query
"""

_SEES_ALL = written("""
select
    pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all,
    current_setting('track_activities')::bool as tracked, quote_ident(current_user) as "user"
""")
_HIDDEN = "<insufficient privilege>"


def server_session(row: Row) -> ServerSession:
    query = row["query"]
    return ServerSession(
        pid=row["pid"],
        application_name=row["application_name"],
        user=row["user"],
        database=row["database"],
        client=row["client"],
        state=row["state"],
        since=row["since"],
        lasting=row["lasting"],
        query=None if not query or query == _HIDDEN else beginning_of(query),
    )


async def unseen(session: Session, what: str) -> str | None:
    """Why it can't be seen of all sessions ``what``, which is a clause."""
    (row,) = await session.fetch(_SEES_ALL)
    if not row["sees_all"]:
        return f"of other users it can't be seen {what}; for that: GRANT pg_read_all_stats TO {row['user']}"
    if not row["tracked"]:
        return f"it can't be seen {what} while track_activities is off"
    return None
