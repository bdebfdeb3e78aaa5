"""A real Redis server, to be started, killed, frozen, emptied and replaced."""

import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as Unreachable
from redis.retry import Retry

from tests.programs import PATIENCE_SECONDS, until

NEVER = -1
"""What PTTL answers for a key that does not expire."""


@cache
def program() -> str:
    """A redis-server: TEST_REDIS_SERVER, else the newest of the machine's and the one that `make` has brought."""
    if given := os.environ.get("TEST_REDIS_SERVER"):
        return given
    places = (None, sysconfig.get_path("scripts"))
    found = {path for place in places if (path := shutil.which("redis-server", path=place)) is not None}
    if found:
        return max(found, key=_version)
    if (sys.platform, platform.machine()) == ("linux", "x86_64"):
        pytest.fail("there is no redis-server, and `make check` brings one")
    pytest.skip("there is no redis-server on this platform: install one, or name one in TEST_REDIS_SERVER")


def _version(path: str) -> tuple[int, ...]:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=(\d+)\.(\d+)\.(\d+)", said)
    assert found is not None, said
    return tuple(int(part) for part in found.groups())


class Port:
    """A port on the loopback interface that nobody else is given until it is released.

    Linux lets two sockets have it when neither listens: ours keeps it while servers come and go on it.
    """

    def __init__(self, number: int = 0) -> None:
        """Raises OSError when ``number`` is taken."""
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._held.bind(("127.0.0.1", number))
        except OSError:
            self._held.close()
            raise
        self.number: int = self._held.getsockname()[1]
        if sys.platform != "linux":
            self._held.close()

    def release(self) -> None:
        self._held.close()


class RedisServer:
    """One redis-server, on a socket and on a port, with nothing kept on disk unless ``settings`` say so.

    Each setting is a line of redis.conf. ``password`` is asked of everybody.
    """

    _arguments: tuple[str, ...] = ()

    def __init__(
        self, directory: Path, *settings: str, password: str | None = None, port: Port | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.password = password
        self._port = port or Port()
        self.port = self._port.number
        self._socket_directory = TemporaryDirectory(prefix="redis-")  # a socket's path must be short
        self.socket = Path(self._socket_directory.name) / "redis.sock"
        self._config = directory / "redis.conf"
        self._log = directory / "redis.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}" + (f"?password={self.password}" if self.password else "")

    @property
    def tcp_url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Returns once it answers commands. It begins empty, and with its first settings."""
        self.launch()
        until(self.answers, "redis-server to answer")

    def launch(self, *more: str) -> None:
        """Returns at once. ``more`` settings are for this start alone."""
        assert not self.runs
        self._config.write_text("\n".join([*self._lines(), *self._settings, *more]) + "\n")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program(), str(self._config), *self._arguments],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def _lines(self) -> Iterator[str]:
        yield f"port {self.port}"
        yield "bind 127.0.0.1"
        yield f"unixsocket {self.socket}"
        yield 'save ""'
        yield "repl-diskless-sync-delay 0"
        if self.password is not None:
            yield f"requirepass {self.password}"
            yield f"masterauth {self.password}"

    def answers(self) -> bool:
        """Whether it does by now. One that has ended fails the test."""
        if not self.runs:
            pytest.fail(f"redis-server has ended:\n{self._log.read_text()[-3000:]}")
        try:
            return bool(self.ask("PING"))
        except (Unreachable, BusyLoadingError):
            return False

    def ask(self, *command: Any) -> Any:
        """What it answers to one command, over a connection made for it. Raises RedisError."""
        with self._client() as client:
            return client.execute_command(*command)

    def lasting(self, pattern: str) -> list[str]:
        """Those of the keys that do not expire."""
        with self._client() as client:
            keys: list[str] = client.keys(pattern)
            lives = client.pipeline(transaction=False)
            for key in keys:
                lives.pttl(key)
            return [key for key, life in zip(keys, lives.execute(), strict=True) if life == NEVER]

    def _client(self) -> "Redis":
        return Redis.from_url(
            self.url, decode_responses=True, protocol=3, retry=Retry(NoBackoff(), 0),
            socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS,
        )  # fmt: skip

    def empty(self) -> None:
        self.ask("FLUSHALL")

    def follow(self, master: "RedisServer | None") -> None:
        """Makes it a replica of ``master``; of nobody with None. Writes are refused from then on, or taken again."""
        self.ask("REPLICAOF", *(("127.0.0.1", master.port) if master else ("NO", "ONE")))

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Gone at once; nothing is said to anybody, nor kept."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def replace(self) -> None:
        """Another, empty server stands in its place."""
        self.kill()
        self.start()

    def close(self) -> None:
        self.kill()
        self._port.release()
        self._socket_directory.cleanup()
