"""API processes under attack: started as a user starts them, and what they take of the machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = (sys.executable, "-m", "schedora.entrypoints.cli.main")
KEPT = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH"}
STARTING_SECONDS = 60.0


@frozen(kw_only=True)
class Api:
    """One process that answers."""

    process: psutil.Process
    host: str
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}:{self.port}"

    def memory_bytes(self) -> int:
        """Resident."""
        resident: int = self.process.memory_info().rss
        return resident

    def sockets(self) -> int:
        """File descriptors that it has open."""
        descriptors: int = self.process.num_fds()
        return descriptors

    def defects(self) -> list[str]:
        """Lines of its log that tell of a defect of its own."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if '"level":"error"' in line or "Traceback" in line]


def environment(**more: str) -> dict[str, str]:
    """Without what configures Schedora."""
    return {**{name: value for name, value in os.environ.items() if name in KEPT}, **more}


@contextmanager
def api(*, database_url: str, redis_url: str | None = None, **settings: str) -> Iterator[Api]:
    """A process for as long as the block runs."""
    told = environment(
        DATABASE_URL=database_url, **settings, **({"REDIS_URL": redis_url} if redis_url else {})
    )
    with tempfile.TemporaryDirectory(prefix="schedora-hostile-") as directory:
        out, log = Path(directory) / "out", Path(directory) / "log"
        with out.open("wb") as to_out, log.open("wb") as to_log:
            started = subprocess.Popen(
                [*COMMAND, "api", "--port", "0"], stdout=to_out, stderr=to_log, env=told, cwd=directory
            )
        try:
            host, port = _listens(started, out, log)
            yield Api(process=psutil.Process(started.pid), host=host, port=port, log=log)
        finally:
            started.terminate()
            try:
                started.wait(timeout=20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def _listens(started: subprocess.Popen[bytes], out: Path, log: Path) -> tuple[str, int]:
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline and started.poll() is None:
        if found := re.search(r"listens on http://([^:]+):(\d+)", out.read_text()):
            return found[1], int(found[2])
        time.sleep(0.05)
    raise RuntimeError(f"the API does not listen: {log.read_text()[-2000:]}")
