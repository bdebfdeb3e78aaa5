"""A real Redis for the systems that want one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS_MAX = 20.0


class RedisUnavailable(Exception):
    """There is no Redis, and none could be started. The message says what to do."""


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis that the benchmarks may empty.

    REDIS_URL if it is set. Else a server of our own with its default settings, on a socket as PostgreSQL is.
    Raises RedisUnavailable.
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
    """The machine's, else the one that `make` has brought."""
    found = shutil.which("redis-server") or shutil.which("redis-server", path=sysconfig.get_path("scripts"))
    if found is None:
        raise RedisUnavailable(
            "there is no redis-server: set REDIS_URL, or install one (on Debian: apt install redis-server)"
        )
    return found


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
