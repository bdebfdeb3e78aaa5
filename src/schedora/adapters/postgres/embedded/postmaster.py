"""The server process: started, waited for, stopped."""

import logging
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from schedora.adapters.postgres.embedded.account import Account, server_account
from schedora.adapters.postgres.embedded.cluster import create_cluster, major_version
from schedora.adapters.postgres.embedded.database import answers, url
from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.home import Home
from schedora.adapters.postgres.embedded.locks import FileLock, is_locked
from schedora.adapters.postgres.embedded.log import last_words, tidy_log
from schedora.adapters.postgres.embedded.pidfile import clear_pid_files, find_postmaster, read_note
from schedora.adapters.postgres.embedded.settings import include_settings, write_settings
from schedora.adapters.postgres.embedded.sockets import discard_socket_directory, listen_settings
from schedora.adapters.postgres.embedded.wheel import Programs, programs

# Recovery after a crash replays up to max_wal_size of changes; on a slow and busy disk that takes minutes.
START_SECONDS_MAX = 900.0
STOP_SECONDS_MAX = 120.0
_COMMAND_SECONDS_MAX = 60.0
_NEWS_EVERY_SECONDS = 10.0
# It dies again at once if something is wrong with it, but not if somebody just killed it.
_STARTS_MAX = 3
_PAUSE_SECONDS_MIN = 0.01
_PAUSE_SECONDS_MAX = 0.2

_logger = logging.getLogger(__name__)


def bring_up(home: Home, settings: Mapping[str, str]) -> str:
    """Wait until the server answers, and start it if it does not run. To be called alone."""
    began = time.monotonic()
    news_due = began + _NEWS_EVERY_SECONDS
    pause_seconds = _PAUSE_SECONDS_MIN
    starts = 0
    while True:
        note = read_note(home.cluster)
        # One that is not ready is not asked: it would log every question.
        if note is not None and note.ready and answers(note):
            return url(note)
        if not _is_alive(home):
            if starts == _STARTS_MAX:
                raise EmbeddedUnavailable(
                    f"PostgreSQL did not start on {home.cluster}: {last_words(home.cluster, home.start_log)}"
                )
            _spawn(home, settings)
            starts += 1
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
    return is_locked(home.server_lock) or find_postmaster(home.cluster) is not None


def _spawn(home: Home, settings: Mapping[str, str]) -> None:
    lock = FileLock.create(home.server_lock)
    try:
        found, account = _prepare(home.cluster, settings, lock)
        with home.start_log.open("wb") as log:
            # What becomes of the server is seen by whoever waits for it.
            found.run(
                "pg_ctl",
                "start",
                "--no-wait",
                "--silent",
                f"--options=-D {_quoted(home.cluster)}",
                cluster=home.cluster,
                account=account,
                seconds_max=_COMMAND_SECONDS_MAX,
                output=log,
                inherited=lock,
            )
    finally:
        lock.hand_over()


def _prepare(cluster: Path, settings: Mapping[str, str], lock: FileLock) -> tuple[Programs, Account | None]:
    version = major_version(cluster)
    found = programs(version)
    account = server_account(cluster)
    if account is not None:
        for tree in found.trees():
            account.make_readable(tree)
        account.make_reachable(cluster)
    if version is None:
        create_cluster(cluster, found, account, lock, durable=settings.get("fsync") != "off")
    if account is not None and cluster.stat().st_uid == 0:
        account.own(cluster)  # a backup that root has put back
    cluster.chmod(0o700)
    listen = listen_settings(cluster, account)
    include_settings(cluster)
    write_settings(cluster, account, listen, settings)
    tidy_log(cluster)
    clear_pid_files(cluster, Path(listen.get("unix_socket_directories", cluster)), account)
    return found, account


def _quoted(path: Path) -> str:
    """Return the path as the shell takes it through which pg_ctl starts the server."""
    return subprocess.list2cmdline([str(path)]) if sys.platform == "win32" else shlex.quote(str(path))


def stop(home: Home) -> None:
    """Stop the server in good order and wait for its end. To be called alone."""
    if not _is_alive(home):
        return
    note = read_note(home.cluster)
    if note is None or find_postmaster(home.cluster) is None:
        raise EmbeddedUnavailable("its process cannot be found from here")
    found = programs(major_version(home.cluster))
    account = server_account(home.cluster)
    options = ("stop", "--no-wait", "--silent", "--mode=fast")
    found.run("pg_ctl", *options, cluster=home.cluster, account=account, seconds_max=_COMMAND_SECONDS_MAX)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while _is_alive(home):
        if time.monotonic() > deadline:
            raise EmbeddedUnavailable(f"it has not stopped within {STOP_SECONDS_MAX:.0f} seconds")
        time.sleep(_PAUSE_SECONDS_MIN)
    discard_socket_directory(Path(note.host), home.cluster)
