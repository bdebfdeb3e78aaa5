"""Workers that make offers and callers that take them, over links that note what they ask."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from attrs import define, field

from schedora.adapters.redis.connections import Argument
from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.scripts import Script
from schedora.adapters.redis.worker_availability import AvailabilityPublisher, RedisWorkerAvailability
from schedora.application.ports.wakeup import SubscriptionFilter
from schedora.domain.ids import IncarnationId
from tests.programs import PATIENCE_SECONDS
from tests.redis.reaching import PATIENCE, until_up

LONG_SECONDS = 3_600
"""For what is not to come to its end in a test, unless time is made to pass."""
MAKE, TAKE = "publish_availability", "take_available_worker"


class Passing:
    """Time on an event loop's clock, which goes on as ever, and may be put forward."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._time = loop.time
        self._passed = 0.0
        loop.time = self._now  # type: ignore[method-assign]

    def _now(self) -> float:
        return self._time() + self._passed

    def let(self, seconds: float) -> None:
        self._passed += seconds


class NotedLink(RedisLink):
    """Notes the scripts that it is asked to run."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url, command_timeout=timedelta(hours=10), connect_timeout=PATIENCE, unit_random=lambda: 0.5
        )
        self.asked: list[str] = []
        self.answered: list[str] = []
        self._stirred = asyncio.Event()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument] = ()) -> Any:
        self.asked.append(script.name)
        self._stirred.set()
        try:
            return await super().run(script, keys, args)
        finally:
            self.answered.append(script.name)
            self._stirred.set()

    async def until_asked(self, name: str, times: int) -> None:
        await self._until(self.asked, name, times)

    async def until_answered(self, name: str, times: int) -> None:
        await self._until(self.answered, name, times)

    async def _until(self, noted: list[str], name: str, times: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while noted.count(name) < times:
                self._stirred.clear()
                await self._stirred.wait()


@asynccontextmanager
async def a_noted_link(url: str) -> AsyncIterator[NotedLink]:
    async with NotedLink(url) as link:
        await until_up(link)
        yield link


@define
class IdleWorker:
    """A worker, as far as it makes offers."""

    link: NotedLink
    publisher: AvailabilityPublisher
    deaf: bool = False
    unheard: int = 0
    """How often it was told to look for what it had not heard of."""
    _running: list["asyncio.Task[None]"] = field(factory=list)

    def hears(self, _owner: IncarnationId) -> bool:
        return not self.deaf

    def on_unheard(self) -> None:
        self.unheard += 1

    def start(self) -> None:
        run = self.publisher.run(hears=self.hears, on_unheard=self.on_unheard)
        self._running = [asyncio.create_task(run)]

    async def fall_silent(self) -> None:
        """Says nothing more, as if it had been killed."""
        for task in self._running:
            task.cancel()
            with suppress(asyncio.CancelledError, RedisAway):
                await task

    async def made(self, times: int) -> None:
        """Returns once it has said so often what it offers."""
        await self.link.until_answered(MAKE, times)

    @property
    def key(self) -> str:
        return self.link.keys.availability(self.publisher.name)

    async def left(self) -> int:
        """How many of its offers are there to be taken."""
        return int(await self.link.call("HGET", self.key, "left") or 0)


@asynccontextmanager
async def an_offerer(
    url: str,
    *queues: str,
    types: tuple[str, ...] = ("send",),
    owner: IncarnationId | None = None,
    room: int = 0,
    deaf: bool = False,
) -> AsyncIterator[IdleWorker]:
    """With an owner, it has made its offers when the context begins."""
    async with a_noted_link(url) as link:
        idle = IdleWorker(
            link, AvailabilityPublisher(link, SubscriptionFilter(queues=queues, types=types)), deaf
        )
        idle.publisher.update(owner, room)
        idle.start()
        if owner is not None and not deaf and room > 1:
            await idle.made(1)
        yield idle
        await idle.fall_silent()


async def taken(link: RedisLink, *, queue: str = "mail", job_type: str = "send") -> IncarnationId | None:
    """Whose offer somebody gets who has asked for none before."""
    available = await RedisWorkerAvailability(link).take(queue=queue, job_type=job_type)
    return None if available is None else available.owner
