"""SIGINT and SIGTERM: the first asks a process to stop, the second not to wait for anything."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from schedora.application.log import Logger

log = Logger("schedora.process")

EXIT_AT_ONCE = 130

SAME_WISH_SECONDS = 0.1
"""Shells, `timeout` and supervisors signal a process and its group: what comes this close together is one wish."""


@contextmanager
def stop_signals(asked: asyncio.Event, *, at_once: Callable[[], None] | None = None) -> Iterator[None]:
    """While open, the first signal sets ``asked``; a second calls ``at_once`` and ends the process with 130.

    Whatever handled the signals before does so again afterwards; a loop alone would leave the system's default.
    """
    loop = asyncio.get_running_loop()
    first_heard_at: float | None = None

    def heard() -> None:
        nonlocal first_heard_at
        now = loop.time()
        if first_heard_at is None:
            first_heard_at = now
            asked.set()
        elif now - first_heard_at >= SAME_WISH_SECONDS:
            log.warning("second signal: exiting at once")
            if at_once is not None:
                at_once()
            os._exit(EXIT_AT_ONCE)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            if handler is not None:  # what was not installed from Python can't be put back by it
                signal.signal(number, handler)
