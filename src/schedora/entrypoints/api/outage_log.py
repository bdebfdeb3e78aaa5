"""What the API knows of a store that is away, and tells the log of it: its loss, its return, and once a minute how many it has
refused meanwhile, however many ask.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import timedelta

from schedora.application.errors import StoreBusy, StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock

log = Logger("schedora.api")

LOOK_EVERY = timedelta(seconds=0.5)
TELL_EVERY = timedelta(minutes=1)


class OutageLog:
    """``look`` raises ``StoreUnavailable`` while the store is away. It is asked only once somebody has been refused, and
    until it answers.
    """

    def __init__(self, look: Callable[[], Awaitable[None]], clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._away = False
        self._refused = 0
        self._failed = 0
        """Of those refused, they that were not told of, while there was no outage."""
        self._failure: tuple[StoreUnavailable, str] | None = None
        """The first of those, and its trace."""
        self._tell_at = clock.monotonic()
        self._closed = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def known(self) -> bool:
        """Whether there is one, as far as it is known: then nobody need wait for long to be refused."""
        return self._away

    def refused(self, error: StoreUnavailable, *, trace_id: str) -> None:
        """Somebody was, for the store's sake; which may be an outage, or his own bad luck."""
        self._refused += 1
        if not self._away:
            self._failed += 1
            self._failure = self._failure or (error, trace_id)
        self.suspected()

    def suspected(self) -> None:
        """Looks, unless it is looked at already."""
        if self._watching is None or self._watching.done():
            # In a context of its own: it is nobody's in particular.
            self._watching = asyncio.get_running_loop().create_task(
                self._watch(), name="schedora-outage", context=Context()
            )

    async def close(self) -> None:
        """Looks no more."""
        self._closed.set()
        if self._watching is not None:
            await self._watching

    async def _watch(self) -> None:
        try:
            await self._follow()
        except Exception:
            log.exception("whether the store is away can't be told")
        finally:
            self._away = False  # what nobody follows is not known

    async def _follow(self) -> None:
        error = await self._trouble()
        if error is None:
            self._tell_failures()
            return
        began = self._clock.monotonic()
        tell_at = began + TELL_EVERY
        refused_before = self._refused - self._failed
        self._away, self._failed, self._failure = True, 0, None
        log.warning("the store is away", error=str(error))
        while not await self._clock.wait(self._closed, LOOK_EVERY):
            error = await self._trouble()
            now = self._clock.monotonic()
            told = {
                "away_seconds": round((now - began).total_seconds(), 1),
                "requests_refused": self._refused - refused_before,
            }
            if error is None:
                log.info("the store is back", **told)
                return
            if now >= tell_at:
                tell_at = now + TELL_EVERY
                log.warning("the store is still away", error=str(error), **told)

    def _tell_failures(self) -> None:
        """Once a minute: they may be many, as when all connections are in use."""
        now = self._clock.monotonic()
        if self._failure is not None and now >= self._tell_at:
            error, trace_id = self._failure
            log.warning(
                "the store failed requests", error=str(error), trace_id=trace_id, requests=self._failed
            )
            self._tell_at = now + TELL_EVERY
            self._failed, self._failure = 0, None

    async def _trouble(self) -> StoreUnavailable | None:
        try:
            await self._look()
        except StoreBusy:  # by what this process asks of it: requests have their time
            return None
        except StoreUnavailable as error:
            return error
        return None
