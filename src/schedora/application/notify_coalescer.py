"""Hints on their way out of this process: the first goes at once, those that follow within a moment go as one."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from threading import Lock
from typing import Any, Final

from attrs import frozen

from schedora.domain.ids import IncarnationId

_MERGE_SECONDS: Final = 0.003


@frozen(kw_only=True)
class Notification:
    """What there is to tell. ``later``: nothing of it is of jobs that are due."""

    queues: frozenset[str]
    owners: frozenset[IncarnationId]
    later: bool
    more_work: bool

    def merged(self, other: "Notification") -> "Notification":
        return Notification(
            queues=self.queues | other.queues,
            owners=self.owners | other.owners,
            later=self.later and other.later,
            more_work=self.more_work or other.more_work,
        )


class NotifyCoalescer:
    """``loop`` answers the event loop to send on, and raises ``RuntimeError`` while there is none: what is put then is
    lost. ``put`` may be called from any thread; all else belongs to that loop.
    """

    def __init__(
        self,
        send: Callable[[Notification], Coroutine[Any, Any, None]],
        *,
        loop: Callable[[], asyncio.AbstractEventLoop],
        merge_seconds: float = _MERGE_SECONDS,
    ) -> None:
        self._send = send
        self._loop = loop
        self._merge_seconds = merge_seconds
        self._guard = Lock()
        self._next: Notification | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._send_at = 0.0
        """When the next may go, on the loop's clock."""

    def put(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        if not queues and not owners:
            return
        notify = Notification(
            queues=frozenset(queues), owners=frozenset(owners), later=later or not queues, more_work=more_work
        )
        with self._guard:
            first = self._next is None
            self._next = notify if self._next is None else self._next.merged(notify)
        if first:
            try:
                loop = self._loop()
                if _running_loop() is loop:
                    self._send_soon()
                else:
                    loop.call_soon_threadsafe(self._send_soon)
            except RuntimeError:
                # Without a loop, or with one that has come to its end, there is nobody to send it, nor what joins it.
                with self._guard:
                    self._next = None

    def pass_by(self) -> bool:
        """Whether one may go another way now, before any that wait: then it counts as sent."""
        now = self._loop().time()
        if self._next is not None or now < self._send_at:
            return False
        self._send_at = now + self._merge_seconds
        return True

    async def finish(self) -> None:
        """Sends what waits, and returns once all is sent."""
        self._send_now()
        await asyncio.gather(*self._sending)

    def _send_soon(self) -> None:
        loop = self._loop()
        if loop.time() >= self._send_at:
            self._send_now()
        else:
            loop.call_at(self._send_at, self._send_now)

    def _send_now(self) -> None:
        with self._guard:
            notify, self._next = self._next, None
        if notify is None:  # the end came first, and sent it
            return
        loop = self._loop()
        self._send_at = loop.time() + self._merge_seconds
        task = loop.create_task(self._send(notify))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
