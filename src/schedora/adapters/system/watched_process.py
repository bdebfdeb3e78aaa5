"""A process of which is known how it ended, and how much memory it had at most."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from attrs import frozen

from schedora.domain.worker_death import ended_how, peak_memory


@frozen(kw_only=True)
class ProcessEnd:
    returncode: int
    """The exit status; negative, the signal."""
    peak_bytes: int
    """The most memory that it, or a child that it waited for, had resident; no less than what whoever started it had by
    then, for the system counts a process from before it runs its own program.
    """

    @property
    def how(self) -> str:
        return ended_how(self.returncode, signal_name(self.returncode)) + self.memory

    @property
    def memory(self) -> str:
        return peak_memory(self.peak_bytes)


class WatchedProcess:
    """Started when it is made, in a session of its own. Raises ``OSError`` where it can't be."""

    def __init__(
        self, command: Sequence[str], *, descriptors: Sequence[int] = (), environment: Mapping[str, str]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = subprocess.Popen(  # noqa: S603 - this program, no shell
            command,
            start_new_session=True,  # Ctrl-C in the terminal reaches this process, which passes it on once
            pass_fds=descriptors,
            env=environment,
        )
        self.pid = self._process.pid
        self.ended: asyncio.Future[ProcessEnd] = self._loop.create_future()
        # Not asyncio's: it would ask for the end before this does, and what memory it had would be lost.
        self._waiting = threading.Thread(target=self._wait, name=f"schedora-wait-{self.pid}", daemon=True)
        try:
            self._waiting.start()
        except (
            RuntimeError
        ) as error:  # where there is no room for a thread: by the same limit as for processes
            self._process.kill()
            self._process.wait()
            raise OSError(errno.EAGAIN, str(error)) from error

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped it (SIGSTOP, a debugger), or it is not there to be asked."""
        import psutil  # noqa: PLC0415 - reapers need not carry it

        try:
            return psutil.Process(self.pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
        except psutil.NoSuchProcess:
            return True

    def send(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _wait(self) -> None:
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        unit = 1 if sys.platform == "darwin" else 1024
        end = ProcessEnd(returncode=self._process.returncode, peak_bytes=usage.ru_maxrss * unit)
        with suppress(RuntimeError):  # whoever started it has ended, too
            self._loop.call_soon_threadsafe(self._tell, end)

    def _tell(self, end: ProcessEnd) -> None:
        if not self.ended.done():
            self.ended.set_result(end)


def signal_name(returncode: int) -> str | None:
    """Of the signal that a negative ``returncode`` stands for, where it has one."""
    return signal.Signals(-returncode).name if -returncode in set(signal.Signals) else None
