"""One transaction at a time, whatever event loop or thread it comes from."""

import asyncio
from collections import deque
from concurrent.futures import Future
from threading import Lock
from types import TracebackType
from typing import Self


class TransactionMutex:
    """First come, first served. ``asyncio.Lock`` would not do: a worker beats from a thread of its own.

    Taking a free mutex never waits for the event loop. A task that is inside and comes again would wait
    for itself for ever: ``RuntimeError``.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._taken = False
        self._inside: asyncio.Task[object] | None = None
        self._waiting: deque[Future[None]] = deque()

    async def __aenter__(self) -> Self:
        task = _current_task()
        with self._guard:
            if not self._taken:
                self._taken = True
                self._inside = task
                return self
            if task is not None and task is self._inside:
                raise RuntimeError("this task has a transaction open on the memory store already")
            turn: Future[None] = Future()
            self._waiting.append(turn)
        try:
            await asyncio.wrap_future(turn)
        except asyncio.CancelledError:
            if not turn.cancel():  # the turn came at the same moment: pass it on
                self._leave()
            raise
        self._inside = task
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        with self._guard:
            self._inside = None
            while self._waiting:
                turn = self._waiting.popleft()
                if turn.set_running_or_notify_cancel():
                    turn.set_result(None)
                    return
            self._taken = False


def _current_task() -> "asyncio.Task[object] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # driven by hand, without an event loop
        return None
