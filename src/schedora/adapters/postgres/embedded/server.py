"""Starting, joining, leaving and stopping the embedded server."""

import asyncio
import atexit
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import asyncpg
import platformdirs
from attrs import field, frozen

from schedora.adapters.postgres.embedded import cluster as clusters
from schedora.adapters.postgres.embedded.account import server_account
from schedora.adapters.postgres.embedded.cluster import ROLE, ServerNote
from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.home import Client, Home
from schedora.adapters.postgres.embedded.locks import FileLock, is_locked
from schedora.adapters.postgres.embedded.log import last_words, tidy_log
from schedora.adapters.postgres.embedded.settings import write_settings
from schedora.adapters.postgres.embedded.sockets import listen_settings
from schedora.adapters.postgres.embedded.wheel import programs

DATABASE = "schedora"

# Recovery after a crash replays up to max_wal_size of changes; on a slow and busy disk that takes minutes.
START_SECONDS_MAX = 900.0
STOP_SECONDS_MAX = 120.0
_COMMAND_SECONDS_MAX = 60.0
_ANSWER_SECONDS_MAX = 5.0
_NEWS_EVERY_SECONDS = 10.0
_PAUSE_SECONDS_MIN = 0.01
_PAUSE_SECONDS_MAX = 0.2

_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
# What a server says that is starting, stopping, crashing or full: it may be there a moment later.
_NOT_NOW = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)

_logger = logging.getLogger(__name__)


@frozen(kw_only=True, eq=False)
class EmbeddedServer:
    """A running server that this process uses, until `release`."""

    url: str
    """Where it is: `postgresql://`, as asyncpg and psycopg take it."""
    _home: Home = field(repr=False)
    _client: Client = field(repr=False)
    _settings: Mapping[str, str] = field(repr=False)

    def ensure_running(self) -> None:
        """Start the server again if it died meanwhile; its URL stays the same. Blocks as `start_embedded`.

        Raises EmbeddedUnavailable.
        """
        _bring_up(self._home, self._settings)

    def release(self) -> None:
        """Use the server no longer. The last of its users stops it, and waits until it has stopped.

        Happens by itself at the end of the process. Further calls do nothing.
        """
        atexit.unregister(self.release)
        try:
            with self._home.alone(STOP_SECONDS_MAX):
                if self._client.leave():
                    _stop(self._home)
        except (OSError, EmbeddedUnavailable, subprocess.SubprocessError) as error:
            # It is on the way out, and the server keeps its data safe without being stopped.
            _logger.warning("the embedded PostgreSQL was left without stopping it: %s", error)


def default_data_dir() -> Path:
    """Return where data is kept when nobody says where: SCHEDORA_DATA_DIR, else the user's data directory."""
    if chosen := os.environ.get("SCHEDORA_DATA_DIR"):
        return Path(chosen)

    return platformdirs.user_data_path("schedora", appauthor=False)


def start_embedded(data_dir: Path, settings: Mapping[str, str] = _NO_SETTINGS) -> EmbeddedServer:
    """Join the server that runs on the data directory, or start one; made on first use.

    Blocks until the server answers, which after a crash includes its recovery. `settings` of PostgreSQL go
    before Schedora's own; they have no effect on a server that runs already. Every call, in one process
    too, counts as a user of its own.

    Raises EmbeddedUnavailable.
    """
    home = Home(data_dir=data_dir.expanduser().absolute())
    try:
        home.make()
        return _join(Home(data_dir=home.data_dir.resolve()), settings)
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedUnavailable(f"no embedded PostgreSQL in {data_dir}: {error}") from error


def _join(home: Home, settings: Mapping[str, str]) -> EmbeddedServer:
    with home.alone(START_SECONDS_MAX):
        client = Client(home.clients)
        try:
            url = _bring_up(home, settings)
        except BaseException as error:
            # A server that takes too long to recover is left to it; one that nobody waits for is stopped.
            if client.leave() and not isinstance(error, EmbeddedUnavailable):
                _stop(home)
            raise
    server = EmbeddedServer(url=url, home=home, client=client, settings=settings)
    atexit.register(server.release)
    return server


def _bring_up(home: Home, settings: Mapping[str, str]) -> str:
    """Wait until the server answers, and start it if it does not run. To be called alone."""
    began = time.monotonic()
    news_due = began + _NEWS_EVERY_SECONDS
    pause_seconds = _PAUSE_SECONDS_MIN
    started = False
    while True:
        note = clusters.read_note(home.cluster)
        # One that is not ready is not asked: it would log every question.
        if note is not None and note.ready and _answers(note):
            return _url(note)
        if not _is_alive(home):
            if started:
                raise EmbeddedUnavailable(
                    f"PostgreSQL did not start on {home.cluster}: {last_words(home.cluster, home.start_log)}"
                )
            _spawn(home, settings)
            started = True
        now = time.monotonic()
        if now > began + START_SECONDS_MAX:
            raise EmbeddedUnavailable(
                f"PostgreSQL on {home.cluster} is not ready after {START_SECONDS_MAX:.0f} seconds "
                f"({last_words(home.cluster, home.start_log)}); it goes on, so try again later"
            )
        if now > news_due:
            news_due = now + _NEWS_EVERY_SECONDS
            _logger.warning(
                "waiting for the embedded PostgreSQL: %s", last_words(home.cluster, home.start_log)
            )
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.5, _PAUSE_SECONDS_MAX)


def _is_alive(home: Home) -> bool:
    """Whether a server, or a process that a killed one left behind, still has its hands on the cluster."""
    # The second: one that an administrator started by hand, and where children inherit no locks (Windows).
    return is_locked(home.server_lock) or clusters.find_postmaster(home.cluster) is not None


def _spawn(home: Home, settings: Mapping[str, str]) -> None:
    cluster = home.cluster
    version = clusters.major_version(cluster)
    found = programs(version)
    account = server_account(cluster)
    if account is not None:
        for tree in ("bin", "lib", "share"):
            account.make_readable(found.directory.parent / tree)
        account.make_reachable(cluster)
    if version is None:
        clusters.create(cluster, found, account, durable=settings.get("fsync") != "off")
    if account is not None and cluster.stat().st_uid == 0:
        account.own(cluster)  # a backup that root has put back
    cluster.chmod(0o700)
    listen = listen_settings(cluster, account)
    write_settings(cluster, account, listen, settings)
    tidy_log(cluster)
    clusters.clear_pid_files(cluster, Path(listen.get("unix_socket_directories", cluster)), account)
    lock = FileLock.take(home.server_lock)
    if lock is None:
        raise EmbeddedUnavailable(f"another process holds {home.server_lock}")
    try:
        with home.start_log.open("wb") as log:
            # What becomes of the server is seen by whoever waits for it.
            found.run(
                "pg_ctl",
                "start",
                "--no-wait",
                "--silent",
                cluster=cluster,
                account=account,
                seconds_max=_COMMAND_SECONDS_MAX,
                output=log,
                inherited_fd=None if sys.platform == "win32" else lock.fd,
            )
    finally:
        lock.hand_over()


def _stop(home: Home) -> None:
    """Stop the server in good order and wait for its end. To be called alone."""
    if clusters.find_postmaster(home.cluster) is None:
        return
    found = programs(clusters.major_version(home.cluster))
    account = server_account(home.cluster)
    options = ("stop", "--no-wait", "--silent", "--mode=fast")
    found.run("pg_ctl", *options, cluster=home.cluster, account=account, seconds_max=_COMMAND_SECONDS_MAX)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while _is_alive(home):
        if time.monotonic() > deadline:
            raise EmbeddedUnavailable(f"it has not stopped within {STOP_SECONDS_MAX:.0f} seconds")
        time.sleep(_PAUSE_SECONDS_MIN)


def _url(note: ServerNote) -> str:
    if note.host.startswith("/"):
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(note.host)}&port={note.port}"
    return f"postgresql://{ROLE}@{note.host}:{note.port}/{DATABASE}"


def _answers(note: ServerNote) -> bool:
    """Whether the server takes connections; then the database is there too. Raises EmbeddedUnavailable."""
    # In a thread of its own, as the caller may have an event loop running.
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(asyncio.run, _ensure_database(note)).result()
        except _NOT_NOW:
            return False
        except asyncpg.PostgresError as error:
            raise EmbeddedUnavailable(f"the PostgreSQL server at {note.host} refuses us: {error}") from error
    return True


async def _ensure_database(note: ServerNote) -> None:
    connection = await asyncpg.connect(
        host=note.host, port=note.port, user=ROLE, database="postgres", timeout=_ANSWER_SECONDS_MAX
    )
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
