"""Notices on their way out of this process: gathered while a batch is sent, in order, and never too many.

Where some had to be dropped, or were lost on the way, there is a hole. Its place among the others is kept, so that
readers learn of it where it is.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from threading import Lock
from typing import Final

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.metrics import Counter, Metrics
from schedora.domain.events import Notice

log = Logger("schedora.events")

BATCH_MAX: Final = 500
WAITING_MAX: Final = 20_000
_MERGE_SECONDS: Final = 0.005
_PAUSE_SECONDS: Final = 1.0
"""After a failure."""
_LAST_SECONDS: Final = 1.0
"""How long the end waits for what is left to be told."""

Send = Callable[[Sequence[Notice], int], Awaitable[None]]
"""Tells notices, before which so many were lost. May raise ``StoreUnavailable``: then these are lost as well."""


class Outgoing:
    """``loop`` answers the event loop to send on, and raises ``RuntimeError`` while there is none: what is put then
    is lost. ``put`` may be called from any thread.
    """

    def __init__(
        self, send: Send, *, loop: Callable[[], asyncio.AbstractEventLoop], metrics: Metrics
    ) -> None:
        self._send = send
        self._loop = loop
        self._metrics = metrics
        self._guard = Lock()
        self._waiting: deque[Notice | int] = deque()
        """A number stands for so many that were lost at this place."""
        self._sending: asyncio.Task[None] | None = None
        self._ending = False

    def put(self, notices: Sequence[Notice], *, lost: int = 0) -> None:
        with self._guard:
            first = not self._waiting
            if lost:
                self._waiting.append(lost)
            self._waiting.extend(notices)
            dropped = self._make_room()
        self._count(dropped)
        if first:
            # Without a loop, or with one that has come to its end, there is nobody to send them.
            with suppress(RuntimeError):
                self._loop().call_soon_threadsafe(self._start)

    async def finish(self) -> None:
        """Sends what is left, for a moment. To be called on the loop."""
        self._ending = True
        self._start()
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_LAST_SECONDS)
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    def _start(self) -> None:
        if self._waiting and (self._sending is None or self._sending.done()):
            self._sending = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def _run(self) -> None:
        while self._waiting:
            notices, lost = self._taken()
            pause = 0.0 if len(self._waiting) >= BATCH_MAX else _MERGE_SECONDS
            try:
                await self._send(notices, lost)
            except StoreUnavailable as error:
                log.debug("events were lost", error=str(error), events=len(notices))
                self._lose(len(notices), lost)
                pause = _PAUSE_SECONDS
            except Exception:
                log.exception("events were lost", events=len(notices))
                self._lose(len(notices), lost)
                pause = _PAUSE_SECONDS
            if not self._ending:
                await asyncio.sleep(pause)
            elif pause == _PAUSE_SECONDS:
                return

    def _taken(self) -> tuple[list[Notice], int]:
        """The next batch, and how many were lost before it."""
        notices: list[Notice] = []
        lost = 0
        with self._guard:
            while self._waiting and len(notices) < BATCH_MAX:
                one = self._waiting[0]
                if isinstance(one, int):
                    if notices:  # the hole comes behind these
                        break
                    lost += one
                else:
                    notices.append(one)
                self._waiting.popleft()
        return notices, lost

    def _lose(self, amount: int, lost: int) -> None:
        with self._guard:
            self._waiting.appendleft(amount + lost)
        self._count(amount)

    def _make_room(self) -> int:
        """Drops the oldest; answers how many."""
        dropped = hole = 0
        while len(self._waiting) > WAITING_MAX:
            one = self._waiting.popleft()
            if isinstance(one, int):
                hole += one
            else:
                dropped += 1
        if hole or dropped:
            self._waiting.appendleft(hole + dropped)
        return dropped

    def _count(self, dropped: int) -> None:
        if dropped:
            self._metrics.count(Counter.EVENTS_DROPPED, amount=dropped)
