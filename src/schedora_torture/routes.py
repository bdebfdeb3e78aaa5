"""Where a server is, and how its URL reads for whoever goes through a proxy."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from attrs import field, frozen

from schedora_torture.proxy import Connect, tcp, unix

LOOPBACK = "127.0.0.1"
_POSTGRES_PORT = 5432
_REDIS_PORT = 6379


class NoRoute(Exception):
    """A URL whose server can't be reached through a proxy. The message is one line without secrets."""


@frozen(kw_only=True)
class Route:
    """``connect`` reaches the server; ``through`` is its URL by way of a port of this machine."""

    url: str = field(repr=False)
    connect: Connect = field(repr=False)

    def through(self, port: int) -> str:
        parts = urlsplit(self.url)
        user, at, _ = parts.netloc.rpartition("@")
        query = [(name, value) for name, value in parse_qsl(parts.query) if name not in {"host", "port"}]
        return urlunsplit(parts._replace(netloc=f"{user}{at}{LOOPBACK}:{port}", query=urlencode(query)))


def to_postgres(url: str) -> Route:
    """Raises ``NoRoute``."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if query.get("sslmode") == "verify-full":
        raise NoRoute("--database-url: with sslmode=verify-full, nothing can stand between; use verify-ca")
    host = query.get("host") or parts.hostname
    if host is None or "," in parts.netloc + host:
        raise NoRoute("--database-url must name one host")
    port = int(query.get("port") or parts.port or _POSTGRES_PORT)
    if host.startswith("/"):
        return Route(url=url, connect=unix(f"{host}/.s.PGSQL.{port}"))
    return Route(url=url, connect=tcp(host, port))


def to_redis(url: str) -> Route:
    """Raises ``NoRoute``."""
    parts = urlsplit(url)
    if parts.scheme != "redis" or parts.hostname is None:
        raise NoRoute("--redis-url must be of the form redis://host:6379/0: a proxy stands before it")
    return Route(url=url, connect=tcp(parts.hostname, parts.port or _REDIS_PORT))
