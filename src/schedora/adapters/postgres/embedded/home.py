"""Where things are in a data directory, and who uses them."""

import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.locks import FileLock, is_locked

_PAUSE_SECONDS = 0.02
_NEWS_AFTER_SECONDS = 10.0

_logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class Home:
    """The places of the embedded server under one data directory."""

    data_dir: Path

    @property
    def cluster(self) -> Path:
        """The database cluster, which belongs to the account of the server."""
        return self.data_dir / "postgres"

    @property
    def made(self) -> bool:
        """Whether there ever was a cluster here. Raises OSError."""
        return self.cluster.exists()

    @property
    def _run(self) -> Path:
        return self.data_dir / "postgres-run"

    @property
    def server_lock(self) -> Path:
        """Locked by the server and its children as long as one of them lives."""
        return self._run / "server.lock"

    @property
    def start_log(self) -> Path:
        """What the server said before it opened its log."""
        return self._run / "start.log"

    @property
    def clients(self) -> Path:
        """A file for each user of the server, locked by it."""
        return self._run / "clients"

    def make(self) -> None:
        """Make what is missing; what is private is so from its first moment. Raises OSError."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        for directory in (self.data_dir, self._run, self.clients):
            directory.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def alone(self, seconds_max: float) -> Iterator[None]:
        """Keep every other process from starting, joining, leaving or stopping the server meanwhile.

        Raises EmbeddedUnavailable when another process does so all that time, OSError.
        """
        path = self._run / "start.lock"
        began = time.monotonic()
        told = False
        while (lock := FileLock.take(path)) is None:
            waited_seconds = time.monotonic() - began
            if waited_seconds > _NEWS_AFTER_SECONDS and not told:
                told = True
                _logger.warning("waiting for a process that starts or stops the server in %s", self.data_dir)
            if waited_seconds > seconds_max:
                raise EmbeddedUnavailable(
                    f"another process has been starting or stopping the server in {self.data_dir} "
                    f"for {seconds_max:.0f} seconds: try again later"
                )
            time.sleep(_PAUSE_SECONDS)
        with lock:
            yield


class Client:
    """One user of the server, known to all others by a locked file until it leaves or dies."""

    __slots__ = ("_lock", "_pid")

    def __init__(self, clients: Path) -> None:
        """Register a user. To be done alone. Raises OSError."""
        self._pid = os.getpid()
        self._lock: FileLock | None = FileLock.create(clients / f"{self._pid}-{secrets.token_hex(8)}")

    @property
    def has_left(self) -> bool:
        """Whether it is registered no longer; in a forked process always, as only the original can leave."""
        return self._lock is None or self._pid != os.getpid()

    def leave(self) -> None:
        """Be no user any more. Further calls do nothing."""
        if self._lock is not None and not self.has_left:
            lock, self._lock = self._lock, None
            lock.release()
            lock.path.unlink(missing_ok=True)


def has_clients(clients: Path) -> bool:
    """Tell whether any user of the server is alive, and forget those that died. To be called alone."""
    alive = False
    for client in clients.iterdir():
        if is_locked(client):
            alive = True
        else:
            client.unlink()
    return alive
