"""A running server, and how these tests talk to it: over HTTP alone."""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import orjson
import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60

Answer = TypeVar("Answer")
Document = dict[str, Any]


def until(condition: Callable[[], Answer], what: str) -> Answer:
    """The first true answer of ``condition``; fails when it does not come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    pytest.fail(f"waited in vain for {what}")


class Server:
    """One process of Schedora that answers HTTP."""

    def __init__(self, directory: Path, *arguments: str, **environment: str) -> None:
        self.out, self.err = directory / "out", directory / "err"
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME", "TMPDIR", "LANG"} or name.startswith(("COV", "COVERAGE"))
        }
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "schedora.entrypoints.cli.main", *arguments, "--port", "0"],
                stdout=out,
                stderr=err,
                env={**kept, "PYTHONPATH": str(ROOT), **environment},
                cwd=directory,
            )
        self.url = until(self._address, "the server to listen")

    def _address(self) -> str:
        if self.process.poll() is not None:
            pytest.fail(f"ended with {self.process.returncode}:\n{self.err.read_text()[-3000:]}")
        found = re.search(r"listens on (http://\S+)", self.out.read_text())
        return found.group(1) if found else ""

    def log(self) -> list[Document]:
        """Its log so far, line by line."""
        return [
            orjson.loads(line)
            for line in self.err.read_bytes().splitlines(keepends=True)
            if line[-1:] == b"\n"
        ]

    def logged(self, **members: Any) -> Document:
        """The first line of the log with these members, once it is there."""

        def found() -> Document:
            return next((line for line in self.log() if members.items() <= line.items()), {})

        return until(found, f"the log to say {members}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(directory: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """A server for as long as the block runs."""
    server = Server(directory, *arguments, **environment)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def new_database(server_url: str) -> Iterator[str]:
    """A fresh, empty database for as long as the block runs."""
    name = f"acceptance_{secrets.token_hex(8)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
