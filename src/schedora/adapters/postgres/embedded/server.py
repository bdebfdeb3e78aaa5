"""The embedded server as its users know it: joined, used, left."""

import atexit
import logging
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import platformdirs
from attrs import field, frozen

from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.home import Client, Home, has_clients
from schedora.adapters.postgres.embedded.postmaster import (
    START_SECONDS_MAX,
    STOP_SECONDS_MAX,
    bring_up,
    stop,
)

_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

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
        with _unavailable(self._home.data_dir), self._home.alone(START_SECONDS_MAX):
            bring_up(self._home, self._settings)

    def release(self) -> None:
        """Use the server no longer. The last of its users stops it, and waits until it has stopped.

        Happens by itself at the end of the process. Further calls do nothing.
        """
        atexit.unregister(self.release)
        if self._client.has_left:
            return
        try:
            with _unavailable(self._home.data_dir), self._home.alone(STOP_SECONDS_MAX):
                _leave(self._home, self._client)
        except EmbeddedUnavailable as error:
            _warn(error)
        finally:
            self._client.leave()


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
    home = Home(data_dir=data_dir.expanduser().resolve())
    with _unavailable(home.data_dir):
        home.make()
        with home.alone(START_SECONDS_MAX):
            client = Client(home.clients)
            try:
                url = bring_up(home, settings)
            except Exception:
                client.leave()  # and leave the server to its recovery, if that is what took too long
                raise
            except BaseException:
                _leave(home, client)
                raise
    server = EmbeddedServer(url=url, home=home, client=client, settings=settings)
    atexit.register(server.release)
    return server


def join_embedded(data_dir: Path) -> EmbeddedServer:
    """As ``start_embedded``, where there is data already; makes none.

    Raises EmbeddedUnavailable.
    """
    home = Home(data_dir=data_dir.expanduser().resolve())
    if not home.made:
        raise EmbeddedUnavailable(f"no embedded server keeps its data in {home.data_dir}")
    return start_embedded(data_dir)


@contextmanager
def _unavailable(data_dir: Path) -> Iterator[None]:
    """Say in one way what the system refuses."""
    try:
        yield
    except OSError as error:
        where = error.filename or data_dir
        raise EmbeddedUnavailable(
            f"the data directory {data_dir} cannot be used: {error.strerror or error} ({where})"
        ) from error
    except subprocess.SubprocessError as error:
        raise EmbeddedUnavailable(f"a program of PostgreSQL failed on {data_dir}: {error}") from error


def _leave(home: Home, client: Client) -> None:
    """Leave, and stop the server when nobody else uses it. To be called alone."""
    client.leave()
    if not has_clients(home.clients):
        try:
            with _unavailable(home.data_dir):
                stop(home)
        except EmbeddedUnavailable as error:
            _warn(error)


def _warn(error: EmbeddedUnavailable) -> None:
    # Whoever leaves is on the way out, and the data is safe in a server that was not stopped.
    _logger.warning("the embedded PostgreSQL was left without stopping it: %s", error)
