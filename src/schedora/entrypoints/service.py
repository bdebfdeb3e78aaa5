"""What a process is made of: services that run until they are told to stop."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

log = structlog.get_logger("schedora.process")

EXIT_AT_ONCE = 130

SAME_SIGNAL_SECONDS = 0.5
"""Shells, `timeout` and supervisors signal a process and its group: what comes this close together is one wish."""


class Service(Protocol):
    @property
    def name(self) -> str: ...

    async def run(self) -> None:
        """Until stopped. Returning earlier, or raising, ends the process."""
        ...

    def stop(self) -> None:
        """Asks it to end what it does and to return. May be called more than once, and before ``run``."""
        ...


async def serve(services: Sequence[Service], *, on_signal: Callable[[], None] | None = None) -> int:
    """Runs the services until a signal comes or one of them ends; then stops them in reverse order.

    Each is given its time to drain before the one started before it is stopped. Answers the exit status:
    0 after a signal, 1 when a service ended by itself. A second signal exits at once.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    first_heard_at: list[float] = []

    def heard() -> None:
        if first_heard_at and loop.time() - first_heard_at[0] < SAME_SIGNAL_SECONDS:
            return
        if asked.is_set():
            log.warning("second signal: exiting at once")
            os._exit(EXIT_AT_ONCE)
        first_heard_at.append(loop.time())
        asked.set()
        if on_signal is not None:
            on_signal()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard)
    tasks = {service.name: asyncio.create_task(service.run(), name=service.name) for service in services}
    waiter = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait([waiter, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        if asked.is_set():
            log.info("stopping")
        for service in reversed(services):
            service.stop()
            await asyncio.wait([tasks[service.name]])
        failures = [(name, task.exception()) for name, task in tasks.items() if task.exception() is not None]
        for name, error in failures:
            log.error("service failed", service=name, exc_info=error)
        return 0 if asked.is_set() and not failures else 1
    finally:
        waiter.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
