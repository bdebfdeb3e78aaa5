"""Databases for tests: migrated once a run, copied for each test."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from attrs import field, frozen

from schedora.adapters.postgres.upgrade import migrate


@frozen
class Way:
    """How a database is reached; ``direct_url`` past the pooler that stands there, if one does."""

    url: str
    direct_url: str | None = field(default=None, kw_only=True)

    @property
    def environment(self) -> dict[str, str]:
        direct = {} if self.direct_url is None else {"DATABASE_DIRECT_URL": self.direct_url}
        return {"DATABASE_URL": self.url, **direct}


@contextmanager
def migrated_template(server_url: str) -> Iterator[str]:
    """The name of a database with the newest schema and nothing in it, to make copies of."""
    with _created(server_url, "template0") as name:
        migrate(on(server_url, name))
        yield name


@contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    """The URL of one without tables, dropped in the end."""
    with _created(server_url, "template0") as name:
        yield on(server_url, name)


@contextmanager
def copy_of(server_url: str, template: str) -> Iterator[str]:
    """The URL of a copy, dropped in the end."""
    with _created(server_url, template) as name:
        yield on(server_url, name)


def on(server_url: str, database: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


@contextmanager
def _created(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        yield name
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
