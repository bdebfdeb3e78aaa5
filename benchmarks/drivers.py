"""Driver processes: started, listened to, and always ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen
from benchmarks.systems.driving import CANNOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from benchmarks.systems.catalogue import System

ROOT = Path(__file__).resolve().parents[1]
STOP_SECONDS_MAX = 40.0
FILL_SECONDS_MAX = 900.0
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG")


class Unable(Exception):
    """The system has no such thing."""


class Broken(Exception):
    """A driver failed, or took too long. The message has what it said."""


@frozen(kw_only=True)
class Submitted:
    """What a driver submitted."""

    jobs: int
    """Those timed."""
    seconds: float
    stored: int
    """Those timed and those of the warm-up."""


@frozen(kw_only=True)
class Driver:
    """One system's driver, on one store."""

    system: System
    url: str
    directory: Path
    """For what its processes say."""
    redis_url: str | None = None
    """Of a Redis beside the store; its processes have it as REDIS_URL."""
    settings: Mapping[str, str] = field(factory=dict)
    """More of what its processes have in their environment."""
    python: Path = field()

    @python.default
    def _interpreter(self) -> Path:
        return self.system.interpreter()

    def setup(self) -> None:
        """Make tables and queues, empty everything."""
        self._ask("setup", seconds_max=120)

    def submit(
        self,
        count: int,
        mode: str,
        *,
        delay_seconds: float | None = None,
        priority: str | None = None,
        seconds_max: float = 300,
    ) -> Submitted:
        """Submit no-op jobs. Raises Unable and Broken."""
        more = [
            *(() if delay_seconds is None else ("--delay", str(delay_seconds))),
            *(() if priority is None else ("--priority", priority)),
        ]
        said = self._ask("submit", "--count", str(count), "--mode", mode, *more, seconds_max=seconds_max)
        return Submitted(**json.loads(said))

    def fill(self, count: int, *, delay_seconds: float | None = None, priority: str | None = None) -> int:
        """Store jobs in the quickest way that the system has, and tell how many. Raises Unable and Broken."""

        def stored(mode: str) -> int:
            return self.submit(
                count,
                mode,
                delay_seconds=delay_seconds,
                priority=priority,
                seconds_max=FILL_SECONDS_MAX,
            ).stored

        try:
            return stored("batch")
        except Unable:
            return stored("concurrent")

    def trickle(self, *, rate: float, count: int) -> Submitted:
        """Submit jobs one by one at a steady pace. Raises Unable and Broken."""
        said = self._ask(
            "trickle", "--rate", str(rate), "--count", str(count), seconds_max=60 + 2 * count / rate
        )
        return Submitted(**json.loads(said))

    def flow(self, shape: str, *, count: int, size: int) -> int:
        """Store workflows of that many jobs each, and tell how many jobs. Raises Unable and Broken."""
        said = self._ask(
            "flow", "--shape", shape, "--count", str(count), "--size", str(size), seconds_max=FILL_SECONDS_MAX
        )
        return Submitted(**json.loads(said)).stored

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Run an HTTP server while the context lasts; the URL to which jobs are posted."""
        with self.running("serve", name="serve") as process:
            yield process.line("listening", seconds_max=60)

    @contextmanager
    def working(self, counters: Path, slot: int, *, concurrency: int | None = None) -> Iterator[Worker]:
        """Run a worker process while the context lasts."""
        more = () if concurrency is None else ("--concurrency", str(concurrency))
        with self.running(
            "work", "--counters", str(counters), "--slot", str(slot), *more, name=f"work-{slot}"
        ) as process:
            yield Worker(process=process)

    @contextmanager
    def running(self, verb: str, *arguments: str, name: str) -> Iterator[Process]:
        """Run the driver in the background while the context lasts."""
        with self._started(verb, arguments, name) as process:
            yield process

    def _ask(self, verb: str, *arguments: str, seconds_max: float) -> str:
        with self._started(verb, arguments, verb) as process:
            status = process.wait(seconds_max)
            if status == CANNOT:
                raise Unable(process.complaint())
            if status != 0:
                raise Broken(f"{self.system.name} {verb} ended with {status}: {process.complaint()}")
            return process.said()

    def _started(self, verb: str, arguments: Sequence[str], name: str) -> AbstractContextManager[Process]:
        command = [str(self.python), str(self.system.driver), verb, "--url", self.url, *arguments]
        redis = {} if self.redis_url is None else {"REDIS_URL": self.redis_url}
        settings = {**redis, **self.settings}
        return Process.started(command, self.directory, name, settings)


@frozen(kw_only=True)
class Worker:
    """A worker process."""

    process: Process

    def ready(self, *, seconds_max: float = 60) -> int:
        """Return the process that runs the jobs once it takes some. Raises Broken."""
        return int(self.process.line("ready", seconds_max=seconds_max))


@frozen(kw_only=True)
class Process:
    """A process with what it says in files; its group is its own."""

    running: subprocess.Popen[bytes]
    out: Path
    err: Path

    @classmethod
    @contextmanager
    def started(
        cls, command: Sequence[str], directory: Path, name: str, settings: Mapping[str, str] | None = None
    ) -> Iterator[Process]:
        """Start it, with these settings in its environment; at the end of the context ask it to stop if it runs, and kill it and its children if it goes on."""
        out, err = directory / f"{name}.out", directory / f"{name}.err"
        environment = {key: value for key, value in os.environ.items() if key in _KEPT} | dict(settings or {})
        with out.open("wb") as to_out, err.open("wb") as to_err:
            running = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                env={**environment, "PYTHONPATH": str(ROOT)},
                cwd=directory,  # no .env is read
                start_new_session=True,
            )
        try:
            yield cls(running=running, out=out, err=err)
        finally:
            _end(running)

    def wait(self, seconds_max: float) -> int:
        """Return its exit status. Raises Broken when it takes too long."""
        try:
            return self.running.wait(seconds_max)
        except subprocess.TimeoutExpired:
            raise Broken(f"no end after {seconds_max:g} s: {self.complaint()}") from None

    def line(self, start: str, *, seconds_max: float) -> str:
        """Return what follows `start` on the line that begins so, once it is said. Raises Broken."""
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            for line in self.said().splitlines(keepends=True):
                if line.startswith(f"{start} ") and line.endswith("\n"):
                    return line.removeprefix(start).strip()
            self.must_run()
            time.sleep(0.01)
        raise Broken(f"not {start} after {seconds_max:g} s: {self.complaint()}")

    def must_run(self) -> None:
        """Raises Broken when it has ended."""
        if self.running.poll() is not None:
            raise Broken(f"ended with {self.running.returncode}: {self.complaint()}")

    def stop(self) -> None:
        """Ask it to stop and wait until it has. Raises Broken when it had to be killed."""
        if not _end(self.running):
            raise Broken(f"had to be killed: {self.complaint()}")

    def said(self) -> str:
        return self.out.read_text(encoding="utf-8", errors="replace")

    def complaint(self) -> str:
        """The last of its standard error."""
        return self.err.read_text(encoding="utf-8", errors="replace").strip()[-2000:]


def _end(running: subprocess.Popen[bytes]) -> bool:
    """Whether it ended when asked. What it leaves of its group is killed."""
    if running.poll() is None:
        running.send_signal(signal.SIGTERM)
    try:
        running.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        asked = False
    else:
        asked = True
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return asked
