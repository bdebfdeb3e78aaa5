"""An event loop in a thread: how programs without one use what is asynchronous."""

import asyncio
import atexit
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

STOP_SECONDS_MAX = 10.0


class BackgroundLoop:
    """Starts with its first use, ends with ``stop`` or with the program. A forked child starts its own."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._end: weakref.finalize[..., Any] | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of ``coroutine``, run on the loop while this thread waits.

        Raises ``RuntimeError`` on the loop's own thread, which would wait for itself.
        """
        loop = self._started()
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("the synchronous forms can't be used by coroutines: use the asynchronous ones")
        try:
            return result_from(coroutine, loop)
        finally:
            self._end_before_what_was_opened()

    def stop(self) -> None:
        with self._guard:
            if self._end is not None:
                atexit.unregister(self._end)
                self._end()
            self._loop = self._thread = self._end = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None or not self.running:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_turn, args=[loop], name="schedora-background", daemon=True)
                thread.start()
                self._loop, self._thread = loop, thread
                # Not a method: it would keep the owner alive.
                self._end = weakref.finalize(self, _stop, loop, thread)
                self._end.atexit = False
            return self._loop

    def _end_before_what_was_opened(self) -> None:
        """At the end of the program the last registered goes first: the connections before the server that was
        started for them.
        """
        with self._guard:
            if self._end is not None:
                atexit.unregister(self._end)
                atexit.register(self._end)


def result_from(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """The result of ``coroutine``, run on the ``loop`` of another thread while this one waits.

    An exception that interrupts the waiting, like Ctrl-C, cancels it.
    """
    try:
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:  # the loop has ended
        coroutine.close()
        raise
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()
        # Leaving cancels what is left and closes what the loop holds open.


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if thread.is_alive():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_SECONDS_MAX)
