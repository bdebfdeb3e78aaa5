"""The PostgreSQL that is measured: Schedora's embedded server as a user gets it, a database for each case."""

from __future__ import annotations

import secrets
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
from attrs import frozen
from psycopg import sql

from schedora.adapters.postgres.embedded import start_embedded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# What explains a figure, kept beside it.
TOLD_SETTINGS = (
    "server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_compression", "shared_buffers",
    "autovacuum", "autovacuum_naptime", "max_wal_size", "checkpoint_timeout", "max_connections", "jit",
)  # fmt: skip


@contextmanager
def temporary_server(settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start a server with a data directory of its own; stop it and remove the directory at the end."""
    with tempfile.TemporaryDirectory(prefix="schedora-bench-", ignore_cleanup_errors=True) as parent:
        embedded = start_embedded(Path(parent) / "data", settings or {})
        try:
            yield Server(url=embedded.url, data_dir=Path(parent) / "data")
        finally:
            embedded.release()


@frozen(kw_only=True)
class Server:
    """A running server."""

    url: str
    data_dir: Path | None = None
    """Of one that was started here."""

    def log(self) -> str:
        """Return what it has written down. Raises RuntimeError for a server that was not started here."""
        if self.data_dir is None:
            raise RuntimeError("the log of a server started elsewhere is not at hand")
        files = sorted(
            self.data_dir.glob("postgres/**/postgresql-*.log"), key=lambda file: file.stat().st_mtime
        )
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)

    def pid(self) -> int:
        """Of the process that all its others are children of, on this machine."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return psutil.Process(connection.info.backend_pid).ppid()

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Make an empty database, and drop it at the end whoever is still connected."""
        name = f"bench_{secrets.token_hex(6)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            try:
                yield Database(name=name, url=urlunsplit(urlsplit(self.url)._replace(path=f"/{name}")))
            finally:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def settings(self) -> dict[str, str]:
        """What is in force of that which explains a figure."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
                [list(TOLD_SETTINGS)],
            )
            return dict(rows.fetchall())


@frozen(kw_only=True)
class Spending:
    """What a database has spent since it was made."""

    wal_bytes: int
    """Of the whole server."""
    rows_left_dead: int
    """Updates and deletes: each leaves a dead tuple."""
    updates: int
    hot_updates: int
    """Updates that touched no index; what they leave dead is removed without a vacuum."""

    def since(self, earlier: Spending) -> Spending:
        return Spending(
            wal_bytes=self.wal_bytes - earlier.wal_bytes,
            rows_left_dead=self.rows_left_dead - earlier.rows_left_dead,
            updates=self.updates - earlier.updates,
            hot_updates=self.hot_updates - earlier.hot_updates,
        )


@frozen(kw_only=True)
class Database:
    """A database of its own for one case."""

    name: str
    url: str

    def settle(self) -> None:
        """Leave no dead row, no stale statistics and no overdue checkpoint to what is measured next."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")

    def spending(self) -> Spending:
        """Ask once those who worked have disconnected: only then have they told all."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute("""
                SELECT
                    pg_current_wal_insert_lsn() - '0/0', coalesce(sum(n_tup_upd + n_tup_del), 0),
                    coalesce(sum(n_tup_upd), 0), coalesce(sum(n_tup_hot_upd), 0)
                FROM pg_stat_user_tables""").fetchone()
            if row is None:
                raise RuntimeError("an aggregate without a row")
            wal_bytes, rows_left_dead, updates, hot_updates = (int(value) for value in row)
            return Spending(
                wal_bytes=wal_bytes, rows_left_dead=rows_left_dead, updates=updates, hot_updates=hot_updates
            )

    def value(self, query: LiteralString) -> float:
        """The one number that a query answers."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
            if row is None:
                raise RuntimeError(f"no answer to {query}")
            return float(row[0])

    @contextmanager
    def closed(self, tables: Sequence[str]) -> Iterator[Gate]:
        """Keep everybody out of the tables until the gate is opened, or the context is left."""
        with psycopg.connect(self.url) as connection, psycopg.connect(self.url, autocommit=True) as watch:
            for table in tables:
                name = sql.Identifier(*table.split("."))
                connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(name))
            yield Gate(holder=connection, watch=watch)

    @contextmanager
    def snapshot_held(self) -> Iterator[None]:
        """Hold a snapshot open, as a session does that is idle in a transaction."""
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT count(*) FROM pg_class")
            yield
            connection.rollback()


@frozen(kw_only=True)
class Gate:
    """Tables that nobody gets at, so that all workers begin at one instant."""

    holder: psycopg.Connection
    watch: psycopg.Connection

    def wait_for(self, count: int, *, seconds_max: float) -> None:
        """Return once so many sessions wait at the gate. Raises TimeoutError."""
        deadline = time.monotonic() + seconds_max
        while True:
            row = self.watch.execute(
                """
                SELECT count(DISTINCT waiting.pid) FROM pg_locks waiting
                WHERE NOT waiting.granted AND waiting.locktype = 'relation' AND waiting.relation IN (
                    SELECT held.relation FROM pg_locks held
                    WHERE held.pid = %s AND held.granted AND held.mode = 'AccessExclusiveLock'
                )""",
                [self.holder.info.backend_pid],
            ).fetchone()
            if row is not None and row[0] >= count:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{count} workers should wait for jobs, {row and row[0]} do")
            time.sleep(0.02)

    def open(self) -> None:
        """Let all of them in."""
        self.holder.commit()
