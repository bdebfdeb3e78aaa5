"""Work that is done in forks of this process: each begins with all that this process has, and leaves nothing in it."""

import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Generic, Never, TypeVar

from attrs import frozen

Work = TypeVar("Work")

BROKEN = 70
"""The exit status of a fork whose work has raised an error, which it tells."""
_THREADS = Path("/proc/self/task")


@frozen
class Ended(Generic[Work]):
    """``status`` is negative where a signal has ended it; ``told`` is what the work has returned, or its error as text."""

    work: Work
    status: int
    told: Any
    seconds: float


@frozen
class _Running(Generic[Work]):
    work: Work
    began: float
    sheet: IO[bytes]


def forked(
    works: Iterable[Work], do: Callable[[Work], object], *, at_once: int
) -> Generator[Ended[Work], None, None]:
    """Each piece of work as it ends: in any order. Those that still run when nobody asks any more are killed."""
    running: dict[int, _Running[Work]] = {}
    try:
        for work in works:
            if len(running) >= at_once:
                yield _next_ended(running)
            began, sheet = time.monotonic(), TemporaryFile()  # noqa: SIM115 - it is closed when it is read
            running[_fork(work, do, sheet)] = _Running(work, began, sheet)
        while running:
            yield _next_ended(running)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _next_ended(running: dict[int, _Running[Work]]) -> Ended[Work]:
    pid, status = os.waitpid(-1, 0)
    one = running.pop(pid)
    with one.sheet as sheet:
        sheet.seek(0)
        told = pickle.load(sheet) if os.fstat(sheet.fileno()).st_size else None
    return Ended(one.work, os.waitstatus_to_exitcode(status), told, time.monotonic() - one.began)


def _fork(work: Work, do: Callable[[Work], object], sheet: IO[bytes]) -> int:
    # Of several threads a fork has one alone, and what the others held stays locked.
    assert len(list(_THREADS.iterdir())) == 1
    return os.fork() or _end(work, do, sheet)


def _end(work: Work, do: Callable[[Work], object], sheet: IO[bytes]) -> Never:
    status, told = BROKEN, None
    try:
        os.setpgid(0, 0)  # an interrupt from the terminal is for the one who forks
        _be_silent()
        told = do(work)
        status = 0
    except BaseException:  # noqa: BLE001 - it is told, and nothing may go on here
        told = traceback.format_exc()
    finally:
        try:
            pickle.dump(told, sheet)
            sheet.flush()
        finally:
            os._exit(status)


def _be_silent() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
