"""Where things are in a data directory, and who uses them."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.locks import FileLock

_PAUSE_SECONDS = 0.02


@frozen(kw_only=True)
class Home:
    """The places of the embedded server under one data directory."""

    data_dir: Path

    @property
    def cluster(self) -> Path:
        """The database cluster, which belongs to the account of the server."""
        return self.data_dir / "postgres"

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
        deadline = time.monotonic() + seconds_max
        while (lock := FileLock.take(path)) is None:
            if time.monotonic() > deadline:
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
        self._pid = os.getpid()
        path = clients / f"{self._pid}-{secrets.token_hex(8)}"
        self._lock: FileLock | None = FileLock.take(path)

    def leave(self) -> bool:
        """Leave, and tell whether no other user is left. To be called alone, as registering is."""
        if self._lock is None or self._pid != os.getpid():
            return False  # left already, or a copy that came with a fork: only the original can leave
        self._lock.path.unlink(missing_ok=True)
        self._lock.release()
        clients, self._lock = self._lock.path.parent, None
        return not any([_is_alive(other) for other in clients.iterdir()])  # noqa: C419 - clears away all the dead


def _is_alive(client: Path) -> bool:
    lock = FileLock.take(client)
    if lock is None:
        return True
    client.unlink()
    lock.release()
    return False
