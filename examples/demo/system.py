"""The system as separate processes: the API, the reaper and the workers, each a `schedora` command."""

import asyncio
import atexit
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil
from attrs import frozen

ROOT = Path(__file__).parents[2]
"""Where `examples` can be imported from."""

SCHEDORA = (str(Path(sys.executable).with_name("schedora")),)
"""The command as it was installed beside the interpreter that runs the demo."""

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0
ORPHAN_SECONDS_MAX = 15.0
LOOK_EVERY_SECONDS = 0.05


class ProcessEndedError(Exception):
    """A process of the system ended that should have gone on."""

    def __init__(self, name: str, returncode: int, log: Path) -> None:
        super().__init__(f"{name} ended with status {returncode}; its log is {log}")
        self.log = log


@frozen(kw_only=True)
class Child:
    """A process of the system, the leader of a process group of its own."""

    name: str
    process: asyncio.subprocess.Process
    log: Path


class System:
    """Starts the processes, kills one when asked, and ends them all when left (`async with`).

    Each runs in a process group of its own, so that Ctrl-C in the terminal reaches the demo alone, which
    then ends them in good order. A warden does that if the demo is killed.
    """

    def __init__(
        self,
        logs: Path,
        environment: Mapping[str, str],
        *,
        directory: Path,
        command: Sequence[str] = SCHEDORA,
    ) -> None:
        self._command = command
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._directory = directory
        self._children: dict[str, Child] = {}
        self._orphans: list[psutil.Process] = []
        self._warden: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        atexit.register(self._kill_all)
        with (self._logs / "warden.log").open("ab") as output:
            self._warden = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "examples.demo.warden",
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**self._environment, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()
        if self._warden is not None and self._warden.stdin is not None:
            self._warden.stdin.close()
            await self._warden.wait()
        atexit.unregister(self._kill_all)

    async def start(self, name: str, *arguments: str) -> None:
        """Start the command with the arguments; what it prints goes to a log under its name."""
        with self._log(name).open("ab") as output:
            await self._start(name, (*self._command, *arguments), stdout=output, stderr=output)

    async def says(self, name: str, beginning: str) -> str:
        """Wait for a line in the process's log with that beginning; return the rest of it.

        Raises TimeoutError when it does not come, and ProcessEndedError when a process ends meanwhile.
        """
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            self.check()
            for line in self._log(name).read_text(encoding="utf-8").splitlines(keepends=True):
                if line.startswith(beginning) and line.endswith("\n"):
                    return line.removeprefix(beginning).strip()
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        raise TimeoutError(f"{name} did not say {beginning!r} within {READY_SECONDS_MAX:.0f} seconds")

    async def output_of(self, name: str, *command: str) -> bytes:
        """Run a program to its end and return what it prints; what it complains about goes to a log.

        Raises ProcessEndedError when it fails.
        """
        with self._log(name).open("ab") as errors:
            child = await self._start(name, command, stdout=asyncio.subprocess.PIPE, stderr=errors)
        printed, _ = await child.process.communicate()
        del self._children[name]
        if returncode := child.process.returncode:
            raise ProcessEndedError(name, returncode, child.log)
        return printed

    def pid(self, name: str) -> int:
        """Return the process id of a process that was started."""
        return self._children[name].process.pid

    def check(self) -> None:
        """Raise ProcessEndedError when a process has ended that nobody killed."""
        for child in self._children.values():
            if (returncode := child.process.returncode) is not None:
                raise ProcessEndedError(child.name, returncode, child.log)

    async def kill(self, name: str) -> None:
        """Send SIGKILL to a process, and to that one alone: what it has started must find its own end."""
        child = self._children.pop(name)
        self._orphans.extend(psutil.Process(child.process.pid).children(recursive=True))
        child.process.kill()
        await child.process.wait()

    async def orphans_ended(self) -> bool:
        """Wait for what the killed processes left behind; tell whether all of it ended by itself."""
        deadline = time.monotonic() + ORPHAN_SECONDS_MAX
        while any(_lives(orphan) for orphan in self._orphans):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        return True

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    async def _start(
        self, name: str, command: Sequence[str], *, stdout: int | IO[bytes], stderr: IO[bytes]
    ) -> Child:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=self._environment,
            cwd=self._directory,
            start_new_session=True,
        )
        child = self._children[name] = Child(name=name, process=process, log=self._log(name))
        if self._warden is not None and self._warden.stdin is not None:
            self._warden.stdin.write(f"{process.pid}\n".encode())
        return child

    async def _stop(self) -> None:
        for child in self._running():
            child.process.terminate()
        ends = [child.process.wait() for child in self._running()]
        if ends:
            await asyncio.wait([asyncio.ensure_future(end) for end in ends], timeout=STOP_SECONDS_MAX)
        self._kill_all()
        for child in self._children.values():
            await child.process.wait()

    def _kill_all(self) -> None:
        for child in self._running():
            os.killpg(child.process.pid, signal.SIGKILL)
        for orphan in self._orphans:
            if _lives(orphan):
                orphan.kill()

    def _running(self) -> list[Child]:
        return [child for child in self._children.values() if child.process.returncode is None]


def _lives(process: psutil.Process) -> bool:
    """Tell whether a process still does anything. A dead one may wait long for an init that buries it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
