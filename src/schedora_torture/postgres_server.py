"""A PostgreSQL of the torture's own, in a fresh directory, kept by a process that outlives the torture just long enough to
stop it and to remove what it left.

The keeper (``python -m schedora_torture.postgres_server DIRECTORY``) takes one order a line on its standard
input and answers each with a line; when that input ends, for whatever reason, it tidies up.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson

from schedora.adapters.postgres.embedded import EmbeddedServer, EmbeddedUnavailable, start_embedded
from schedora.adapters.postgres.embedded.home import Home
from schedora.adapters.postgres.embedded.log import LOG_DIRECTORY
from schedora.adapters.postgres.embedded.pidfile import find_postmaster
from schedora.adapters.postgres.upgrade import create

PREFIX = "schedora-torture-postgres-"
FAST, IMMEDIATE, START = "fast", "immediate", "start"
SIGNALS = {FAST: signal.SIGINT, IMMEDIATE: signal.SIGQUIT}
"""As PostgreSQL names its ways to shut down."""
START_SECONDS_MAX = 300.0


class OwnPostgres:
    """The server, as the torture sees it: its ``url``, and ``stop`` and ``start``."""

    def __init__(self, keeper: Process, url: str) -> None:
        self._keeper = keeper
        self.url = url

    @classmethod
    async def start_new(cls, logs: Path) -> "OwnPostgres":
        """With Schedora's tables and nothing in them. Raises ``EmbeddedUnavailable``."""
        # A session of its own: Ctrl-C in the terminal is for the torture, at whose end the keeper has work to do.
        with (logs / "postgres-keeper.log").open("wb") as log:
            keeper = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "schedora_torture.postgres_server", str(logs),
                stdin=PIPE, stdout=PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        answer = await _answer(keeper)
        return cls(keeper, answer["url"])

    async def stop(self, how: str) -> None:
        """``FAST``: sessions are ended, and all is written. ``IMMEDIATE``: as in a crash."""
        await self._order(how)

    async def start(self) -> None:
        """Returns once it answers, which after a crash includes its recovery. Does nothing while it runs."""
        await self._order(START)

    async def close(self) -> None:
        """Stops it for good, and removes its data."""
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        await self._keeper.wait()

    async def _order(self, order: str) -> None:
        if self._keeper.stdin is None:
            raise RuntimeError("the keeper of PostgreSQL was started without pipes")
        self._keeper.stdin.write(f"{order}\n".encode())
        await self._keeper.stdin.drain()
        await _answer(self._keeper)


async def _answer(keeper: Process) -> dict[str, str]:
    line = b"" if keeper.stdout is None else await keeper.stdout.readline()
    if not line:
        raise EmbeddedUnavailable("the keeper of the torture's PostgreSQL has ended: its log tells why")
    answer: dict[str, str] = orjson.loads(line)
    if "error" in answer:
        raise EmbeddedUnavailable(answer["error"])
    return answer


def keep(logs: Path, orders: IO[str], answers: IO[str]) -> None:
    """What the keeper does, until ``orders`` end."""

    def answer(**said: str) -> None:
        answers.write(orjson.dumps(said).decode() + "\n")
        answers.flush()

    with _directory() as data_dir:
        cluster = Home(data_dir=data_dir.resolve()).cluster
        try:
            server = start_embedded(data_dir)
            create(server.url)
        except Exception as error:
            answer(error=f"{type(error).__name__}: {error}")
            raise
        try:
            answer(url=server.url)
            for line in orders:
                _obey(line.strip(), server, cluster)
                answer()
        finally:
            server.ensure_running()  # one that was stopped can't be left
            server.release()
            _keep_logs(cluster, logs)


def _obey(order: str, server: EmbeddedServer, cluster: Path) -> None:
    if order == START:
        server.ensure_running()
        return
    postmaster = find_postmaster(cluster)
    if postmaster is not None:
        postmaster.send_signal(SIGNALS[order])
        postmaster.wait(timeout=START_SECONDS_MAX)


@contextmanager
def _directory() -> Iterator[Path]:
    """Removed at the end, whatever happened. Reachable for the account that the server runs under."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _keep_logs(cluster: Path, logs: Path) -> None:
    for log in (cluster / LOG_DIRECTORY).glob("*"):
        shutil.copyfile(log, logs / f"postgres-server-{log.name}")


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when the torture has ended, and not before
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        keep(Path(sys.argv[1]), sys.stdin, answers)


if __name__ == "__main__":
    main()
