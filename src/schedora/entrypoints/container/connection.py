"""A system by its settings, open for as long as it is needed: how Python programs get theirs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

from schedora.application.errors import StoreUnavailable
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.database import database_of
from schedora.entrypoints.metrics_flush import MetricsFlush
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[System]:
    """On the database named, else on the embedded server, which is started when nobody runs it yet.

    Raises ``EmbeddedUnavailable``, ``StoreUnavailable`` and ``SchemaMismatch``.
    """
    with ExitStack() as stack:
        # Starting a server, and leaving it, takes a while: not on the event loop.
        url = await asyncio.to_thread(stack.enter_context, database_of(settings, waiting=False))
        try:
            system = build_system(settings, database_url=url)
            await system.open()
            flush = MetricsFlush(system)
            flushing = asyncio.create_task(flush.run(), name="schedora-metrics")
            try:
                yield system
            finally:
                flush.stop()
                # An event loop that ends cancels both: what follows is to be done all the same.
                await asyncio.wait([flushing])
                if flushing.cancelled():
                    with suppress(StoreUnavailable):
                        await system.flush_metrics()
                    system.give_up_metrics()
                await system.end_queries()
                await system.close()
        finally:
            await _close_aside(stack)


async def _close_aside(stack: ExitStack) -> None:
    try:
        closing = asyncio.get_running_loop().run_in_executor(None, stack.close)
    except RuntimeError:
        # The interpreter is ending and lends no more threads; then nobody else waits for this loop either.
        stack.close()
    else:
        await closing
