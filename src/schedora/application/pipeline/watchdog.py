"""Notices that a worker's event loop does not turn, for a handler keeps it: runs beside it, on another thread.

A handler that never yields can't be canceled, and nothing else on its loop happens meanwhile, deadlines included.
What its job is allowed bounds it all the same: then the worker is ended, by whoever is told here.
"""

import asyncio
import sys
import sysconfig
import threading
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import FrameType

from attrs import frozen

from schedora.application.log import Logger
from schedora.application.pipeline.run import Run
from schedora.application.ports.clock import Clock

log = Logger("schedora.watchdog")

LOOK_EVERY = timedelta(seconds=0.5)
TELL_AFTER = timedelta(seconds=5)
"""A loop that has not turned for so long is told of, once."""
GRACE = timedelta(seconds=5)
"""So much longer than its timeout may a handler keep the loop: it may be about to end."""
NOBODYS_LIMIT = timedelta(minutes=5)
"""For what keeps the loop while no job runs: something that a handler left there."""

_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))

_OWN = "schedora/application/"


@frozen(kw_only=True)
class Blocked:
    """A loop that has not turned for longer than it may."""

    seconds: float
    where: str
    """``file:line`` of the handler."""
    stack: str
    run: Run | None
    """Whose handler it is; None where that is not known."""

    @property
    def how(self) -> str:
        """As it follows the worker's name."""
        return f"blocked its event loop for {self.seconds:.0f} s at {self.where}"


class Watchdog:
    """Made by the thread whose running loop it watches, and run by another."""

    def __init__(
        self,
        *,
        clock: Clock,
        runs: Callable[[], list[Run]],
        on_blocked: Callable[[Blocked], Awaitable[None]],
        on_look: Callable[[], None] = lambda: None,
    ) -> None:
        """``runs`` are those at hand, asked for from the other thread. ``on_blocked`` is told once, when something
        keeps the loop for longer than it may; ``on_look`` every time, so that others may watch this one.
        """
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._clock = clock
        self._runs = runs
        self._on_blocked = on_blocked
        self._on_look = on_look
        self._asked = 0
        self._answered = 0
        self._blocked_for = timedelta(0)
        self._told = False
        self._given_up = False

    async def run(self) -> None:
        """Until it is canceled, or the loop has ended."""
        never = asyncio.Event()
        looked_at = self._clock.monotonic()
        while self._ask():
            await self._clock.wait(never, LOOK_EVERY)
            now = self._clock.monotonic()
            # A process that was stopped, or a machine that slept, has not been blocked meanwhile.
            await self._look(min(now - looked_at, LOOK_EVERY * 2))
            looked_at = now
            self._on_look()

    def _ask(self) -> bool:
        if self._asked == self._answered:
            self._asked += 1
            try:
                self._loop.call_soon_threadsafe(self._turned, self._asked)
            except RuntimeError:
                return False
        return True

    def _turned(self, asked: int) -> None:
        self._answered = asked

    async def _look(self, passed: timedelta) -> None:
        if self._asked == self._answered:
            if self._told:
                log.info("the event loop turns again", seconds=self._blocked_for.total_seconds())
            self._blocked_for, self._told, self._given_up = timedelta(0), False, False
            return
        self._blocked_for += passed
        if self._blocked_for >= TELL_AFTER and not self._told:
            self._told = True
            self._tell(self._seen())
        if self._told and not self._given_up and self._blocked_for > self._limit():
            self._given_up = True
            await self._on_blocked(self._seen())

    def _tell(self, blocked: Blocked) -> None:
        log.warning(
            "a handler blocks the event loop: nothing else happens on it",
            seconds=blocked.seconds,
            where=blocked.where,
            stack=blocked.stack,
            **_named(blocked.run),
        )

    def _limit(self) -> timedelta:
        run = self._culprit()
        if run is not None:
            return run.job.timeout + GRACE
        return max((run.job.timeout for run in self._runs()), default=NOBODYS_LIMIT) + GRACE

    def _culprit(self) -> Run | None:
        task = asyncio.current_task(self._loop)
        return next((run for run in self._runs() if task is not None and run.task is task), None)

    def _seen(self) -> Blocked:
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - there is no other way
        return Blocked(
            seconds=round(self._blocked_for.total_seconds(), 1),
            where="an unknown place" if frame is None else _where(frame),
            stack="" if frame is None else _stack(frame),
            run=self._culprit(),
        )


def _named(run: Run | None) -> dict[str, str]:
    return {} if run is None else {"job_id": str(run.job.job_id), "job_type": run.job.type}


def _stack(innermost: FrameType) -> str:
    """As a traceback, from where Schedora calls the handler."""
    frames = traceback.extract_stack(innermost)
    calls = [number for number, frame in enumerate(frames) if _OWN in frame.filename]
    return "".join(traceback.format_list(frames[calls[-1] + 1 if calls else 0 :] or frames))


def _where(innermost: FrameType) -> str:
    """The innermost place in the user's code, else the innermost at all."""
    frame: FrameType | None = innermost
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((*_LIBRARIES, "<")) and _OWN not in file:
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return f"{innermost.f_code.co_filename}:{innermost.f_lineno}"
