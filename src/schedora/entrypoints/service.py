"""What a process is made of: services that run until they are told to stop."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from schedora.application.log import Logger
from schedora.entrypoints.replacement import ReplaceProcess
from schedora.entrypoints.signals import stop_signals

log = Logger("schedora.process")

REPLACE = 75
"""No exit status that anybody sees, unless the program can't be started anew: EX_TEMPFAIL."""


class Service(Protocol):
    @property
    def name(self) -> str: ...

    async def run(self) -> None:
        """Until stopped. Returning earlier, or raising, ends the process."""
        ...

    def stop(self) -> None:
        """Asks it to end what it does and to return. May be called more than once, and before ``run``."""
        ...


async def serve(services: Sequence[Service]) -> int:
    """Runs the services until a signal comes or one of them ends; then stops them in reverse order.

    Each is given its time to drain before the one started before it is stopped. Answers the exit status:
    0 after a signal, 1 when a service ended by itself, ``REPLACE`` when one did so for a fresh process to take over.
    A second signal exits at once.
    """
    asked = asyncio.Event()
    with stop_signals(asked):
        tasks = {service.name: asyncio.create_task(service.run(), name=service.name) for service in services}
        waiter = asyncio.create_task(asked.wait())
        await asyncio.wait([waiter, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if asked.is_set():
            log.info("stopping")
        for service in reversed(services):
            service.stop()
            await asyncio.wait([tasks[service.name]])
    errors = [(name, error) for name, task in tasks.items() if (error := task.exception()) is not None]
    failures = [(name, error) for name, error in errors if not isinstance(error, ReplaceProcess)]
    for name, error in failures:
        log.error("service failed", service=name, exc_info=error)
    if asked.is_set() and not failures:
        return 0
    return 1 if failures or not errors else REPLACE
