"""Where a database is: its URL in the forms that people have it, made into what asyncpg takes."""

from datetime import timedelta
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from attrs import field, frozen

_EXAMPLE = "postgresql://user:password@host:5432/database"

_SCHEMES = frozenset(
    {"postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2"}
)
_UNESCAPED = (
    "has no valid host and port (in its user and password, the characters : / ? # [ ] @ % are written as %3A, %2F, "
    "%3F, %23, %5B, %5D, %40, %25)"
)
_OF_LIBPQ_ALONE = frozenset(
    {
        "channel_binding", "client_encoding", "fallback_application_name", "gssencmode", "keepalives",
        "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts", "requirepeer",
        "sslcompression", "sslnegotiation", "tcp_user_timeout",
    }
)  # fmt: skip
"""Parameters that fine-tune another client; without them the same database is reached."""


@frozen(kw_only=True)
class Location:
    """``connect_timeout`` and ``pooled`` are None where the URL says nothing of them."""

    url: str = field(repr=False)
    """For asyncpg. May hold a password."""
    description: str
    """For people: never holds a password."""
    connect_timeout: timedelta | None = None
    pooled: bool | None = None
    """Whether a pooler in transaction mode (PgBouncer) stands before the server: ``?pgbouncer=true``."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ``ValueError`` with one line that does not tell the password."""
        scheme, separator, _ = url.partition("://")
        if not separator:
            raise _wrong("has no ://")
        if scheme.lower() not in _SCHEMES:
            raise _wrong(f"starts with {scheme}://")
        try:
            parts = urlsplit(url)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            hosts = parts.netloc.rpartition("@")[2]
            for host in hosts.split(","):  # any of several servers, of which one takes writes
                _ = urlsplit(f"//{host}").port
        except ValueError:
            raise _wrong(_UNESCAPED) from None  # what is wrong with it may show the password
        if "@" in parts.path + parts.fragment + "".join(query):
            raise _wrong(_UNESCAPED)
        for name in _OF_LIBPQ_ALONE:
            query.pop(name, None)
        if "ssl" in query:  # as SQLAlchemy's asyncpg URLs have it
            ssl = query.pop("ssl")
            query.setdefault("sslmode", {"true": "require", "false": "disable"}.get(ssl, ssl))
        timeout, pooled = query.pop("connect_timeout", None), query.pop("pgbouncer", None)
        if timeout is not None and not timeout.isdecimal():
            raise ValueError(f"connect_timeout in a database URL is a number of seconds, not {timeout!r}")
        if pooled not in (None, "true", "false"):
            raise ValueError(f"pgbouncer in a database URL is true or false, not {pooled!r}")
        name = query.get("dbname") or query.get("database") or parts.path.strip("/") or parts.username or ""
        what = f"database {name}" if name else "default database"
        return cls(
            url=urlunsplit(parts._replace(scheme="postgresql", query=urlencode(query))),
            description=f"the {what} at {hosts or query.get('host') or 'localhost'}",
            connect_timeout=timedelta(seconds=int(timeout)) if timeout and int(timeout) else None,
            pooled=None if pooled is None else pooled == "true",
        )


def _wrong(problem: str) -> ValueError:
    return ValueError(f"a database URL looks like {_EXAMPLE}; this one {problem}")
