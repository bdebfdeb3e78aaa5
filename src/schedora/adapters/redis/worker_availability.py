"""Availability of idle workers: a submitter takes one worker at a time.

A worker says how many jobs it would start at once. It says so anew before that lapses, when half of it has been heard of, when
all of it is taken, and when there is room again or none any more. A submitter asks for the next one in advance.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID, uuid4

from attrs import define

from schedora.adapters.redis.errors import CommandRefused, RedisAway
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.scripts import load
from schedora.application.ports.wakeup import SubscriptionFilter
from schedora.application.ports.worker_availability import AvailableWorker
from schedora.domain.ids import IncarnationId

_LIFE_MS = 2_000
"""An offer that was not made anew for so long is none."""
ALL_TAKEN = b"all-taken"
"""What comes into the inbox of a worker whose last offer was taken."""
_REPEAT_SECONDS = 1.0
_MAX = 8
_PART = 2
"""One slot in so many that are free is offered: jobs that are claimed need some as well."""
_MERGE_SECONDS = 0.01
_LEAVE_SECONDS = 0.25

_HOLD_SECONDS = 1.0
"""How long one may be held that was taken in advance."""
_PATIENCE_SECONDS = 0.005
"""What Redis has not answered by then would not have made anything faster."""
_PAUSE_SECONDS = 0.025
"""How long nobody is asked again where there was none."""
_AFTER_SECONDS = 0.005
"""When the next is asked for: the job that this one is for comes first."""
_KINDS_MAX = 256


class AvailabilityPublisher:
    """Makes the offers of one worker, while ``run`` runs."""

    def __init__(self, link: RedisLink, subscription_filter: SubscriptionFilter) -> None:
        self._link = link
        self._subscription_filter = subscription_filter
        self._script = load("publish_availability")
        self.name = uuid4().hex
        """That of the worker's inbox as well."""
        self._types = _listed(*subscription_filter.types)
        self._owner: IncarnationId | None = None
        self._wanted = 0
        self._made = 0
        self._heard = 0
        """Matched jobs since offers were made last."""
        self._owed = 0
        """Workers that were taken and of which nothing has come yet: held by who took them, or lost."""
        self._silent_since = 0.0
        """When something was heard last while any were owed, on the loop's clock."""
        self._exhausted = False
        self._changed = asyncio.Event()
        self._making = asyncio.Lock()
        """One at a time, for two might arrive in the other order."""

    def update(self, owner: IncarnationId | None, room: int) -> None:
        """How many jobs might start at once in this owner's name. Costs nothing when little has changed."""
        wanted = 0 if owner is None else min(_MAX, room // _PART)
        too_many = room < self._made - self._heard
        if owner != self._owner or too_many or bool(wanted) != bool(self._wanted):
            self._changed.set()
        self._owner, self._wanted = owner, wanted

    def heard(self) -> None:
        """A matched job has come."""
        self._heard += 1
        self._silent_since = self._link.loop.time()
        if self._heard * 2 >= self._made:
            self._changed.set()

    def look(self) -> None:
        """Whether the owner hears may have changed."""
        self._changed.set()

    def exhausted(self) -> None:
        """All offers are taken, and it is too early to tell what comes of them."""
        self._exhausted = True
        self._changed.set()

    async def run(self, *, hears: Callable[[IncarnationId], bool], on_unheard: Callable[[], None]) -> None:
        """Until canceled, or Redis is away: raises ``RedisAway``. Publishes nothing unless the owner ``hears`` of what comes
        of it, and calls ``on_unheard`` when some were taken and nothing has come of them for a while.
        """
        self._made = self._heard = 0
        self._changed.set()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_REPEAT_SECONDS if self._active else None):
                    await self._changed.wait()
            self._changed.clear()
            # However soon they are taken once more: whoever hears nothing would be given ever more jobs.
            early = self._exhausted and self._link.loop.time() < self._silent_since + _REPEAT_SECONDS
            quiet = not self._heard and not early
            self._exhausted = False
            count = self._wanted if self._owner is not None and hears(self._owner) else 0
            if count or self._made:
                with suppress(CommandRefused):  # it is told in the log, and no reason to hear no hints
                    await self._make(count)
            if quiet and self._owed:
                self._owed = 0
                on_unheard()
            await asyncio.sleep(_MERGE_SECONDS)

    async def withdraw(self) -> None:
        """Makes none any more."""
        self._owner, self._wanted = None, 0
        if self._made:
            with suppress(RedisAway, TimeoutError):
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await self._make(0)

    @property
    def _active(self) -> bool:
        return bool(self._wanted or self._made or self._owed)

    async def _make(self, count: int) -> None:
        keys = self._link.keys
        sets = [keys.available(queue) for queue in self._subscription_filter.queues] or [keys.available(None)]
        async with self._making:
            heard, self._heard = self._heard, 0
            self._made = count
            taken = await self._link.run(
                self._script,
                [keys.availability(self.name), *sets],
                [_LIFE_MS, self.name, str(self._owner or ""), self._types, count],
            )
            if not self._owed:
                self._silent_since = self._link.loop.time()
            self._owed = max(0, self._owed + int(taken) - heard)


@define
class _Kind:
    """What is known of the offers for jobs of one queue and type. Times are on the loop's clock."""

    available: AvailableWorker | None = None
    until: float = 0.0
    """How long the offer may be used."""
    asking: asyncio.Task[None] | None = None
    wait_until: float = 0.0
    """How long it is worth waiting for the answer."""
    ask_at: float = 0.0
    """Not to be asked for before."""
    taken_at: float = -_HOLD_SECONDS
    """When one was taken last."""


class RedisWorkerAvailability:
    """For the link's event loop; elsewhere there are none."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._script = load("take_available_worker")
        self._kinds: dict[tuple[str, str], _Kind] = {}
        """Those that were asked for last come last."""
        self._asking: set[asyncio.Task[None]] = set()
        link.before_close(self._finish)

    async def take(self, *, queue: str, job_type: str) -> AvailableWorker | None:
        if not self._link.up or asyncio.get_running_loop() is not self._link.loop:
            return None
        kind = self._kind(queue, job_type)
        available = self._taken(kind)
        if available is None and (asking := self._ask(kind, queue, job_type)) is not None:
            if (patience := kind.wait_until - self._link.loop.time()) > 0:  # else others have waited in vain
                await asyncio.wait([asking], timeout=patience)
            available = self._taken(kind)
        if available is not None:
            before, kind.taken_at = kind.taken_at, self._link.loop.time()
            if kind.taken_at - before < _HOLD_SECONDS:  # else the next would lapse
                self._link.loop.call_later(_AFTER_SECONDS, self._ask, kind, queue, job_type)
        return available

    def _kind(self, queue: str, job_type: str) -> _Kind:
        kind = self._kinds.pop((queue, job_type), None) or _Kind()
        self._kinds[queue, job_type] = kind
        if len(self._kinds) > _KINDS_MAX:
            del self._kinds[next(iter(self._kinds))]
        return kind

    def _taken(self, kind: _Kind) -> AvailableWorker | None:
        available, kind.available = kind.available, None
        return available if self._link.loop.time() < kind.until else None

    def _ask(self, kind: _Kind, queue: str, job_type: str) -> "asyncio.Task[None] | None":
        """For the next one; None where one is at hand, and where there was none just now."""
        if kind.asking is None or kind.asking.done():
            now = self._link.loop.time()
            if now < kind.ask_at or (kind.available is not None and now < kind.until) or not self._link.up:
                return None
            kind.wait_until = now + _PATIENCE_SECONDS
            kind.asking = self._link.loop.create_task(self._fetch(kind, queue, job_type))
            self._asking.add(kind.asking)
            kind.asking.add_done_callback(self._asking.discard)
        return kind.asking

    async def _fetch(self, kind: _Kind, queue: str, job_type: str) -> None:
        keys = self._link.keys
        kind.available = None
        with suppress(RedisAway, ValueError):  # then there are none; nor where others wrote what is none
            answer = await self._link.run(
                self._script,
                [keys.available(queue), keys.available(None)],
                [keys.availability(""), _listed(job_type), keys.inbox(""), ALL_TAKEN, _LIFE_MS],
            )
            if answer:
                owner, left_ms = answer
                kind.available = AvailableWorker(owner=IncarnationId(UUID(bytes(owner).decode())))
                kind.until = self._link.loop.time() + min(int(left_ms) / 1_000, _HOLD_SECONDS)
        if kind.available is None:
            kind.ask_at = self._link.loop.time() + _PAUSE_SECONDS

    async def _finish(self) -> None:
        if self._asking:
            await asyncio.wait(self._asking)


def _listed(*types: str) -> str:
    """As the scripts search it. No type has this sign in it: PostgreSQL takes none in a text."""
    return "\0".join(("", *types, ""))
