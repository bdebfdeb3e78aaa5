"""Hints by tokens, each of which one worker takes.

Workers that look for the same jobs are of one kind, and say while they live that there are workers of that kind. Whoever
makes jobs claimable gives each kind that serves their queue a token, and one idle worker of it takes it: the others sleep
on. A worker that can't use a token passes it on. What concerns one worker alone is put into its inbox.

Redis tells who was heard by nobody: those are told otherwise, as is everything while Redis is away. Nobody is told twice
by that, unless Redis is slow.

A token that is lost, with a worker that took it or with the server, costs a poll.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from hashlib import blake2b
from uuid import UUID

import orjson

from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.link import OwnConnection, RedisLink
from schedora.adapters.redis.scripts import load
from schedora.adapters.redis.worker_availability import ALL_TAKEN, AvailabilityPublisher
from schedora.application.backoff import Backoff
from schedora.application.log import Logger
from schedora.application.notify_coalescer import Notification, NotifyCoalescer
from schedora.application.ports.wakeup import Hint, StoreSubscription, StoreWakeup, SubscriptionFilter
from schedora.domain.ids import IncarnationId

_SLOW_SECONDS = 0.05
"""What Redis has not taken by then is told otherwise as well."""
_TOKENS_ENOUGH = 4
"""More at hand would tell a kind nothing new: who finds all it can take wakes others."""
_MERGE_OF_ENOUGH_SECONDS = 0.01
"""How rarely those are told of more who have enough tokens: whoever takes one that is at hand finds what is new, too."""
_ENOUGH_SECONDS = 0.05
"""How long that is known of them, unless the next notification says otherwise."""
_NOBODY_SECONDS = 0.1
"""How long a queue that nobody serves is told of otherwise at once: a worker that comes meanwhile hears that as well."""
_QUEUES_MAX = 1_000
_TOKENS_OF_MORE_WORK = 2
"""Each worker that finds more work than it takes wakes so many others, and they do the same."""
_LIFETIME_MS = 15_000
"""Tokens and what is in an inbox: longer than a poll takes."""
_SILENCE_MS = 5_000
"""A worker that has not announced itself for so long is not counted on."""
_ANNOUNCE_SECONDS = 1.5
_PROBE_SECONDS = 1.0
"""How long what is announced may take to come back."""
_BLOCK = timedelta(seconds=5)
_BUSY_SECONDS = 0.05
"""How long a worker is busy before its inbox is listened to alone: most claims are over by then."""
_FIRST_PROOF_SECONDS = 0.5
_LEAVE_SECONDS = 0.25
_PROBE = b"probe "

log = Logger("schedora.redis")


class _Lately:
    """Queues of which something was so not longer than ``seconds`` ago. Any thread may read it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}

    def note(self, asked: Collection[str], so: Collection[str], now: float) -> None:
        """Of those that were ``asked`` for, these are ``so``."""
        if len(self._until) > _QUEUES_MAX:  # what is not known is asked for
            self._until = {}
        for queue in asked:
            self._until.pop(queue, None)
        self._until.update(dict.fromkeys(so, now + self._seconds))

    def all(self, queues: Collection[str], now: float) -> bool:
        return bool(queues) and all(now < self._until.get(queue, 0.0) for queue in queues)


class RedisWakeup:
    """``otherwise`` tells what Redis can't. Open, close and use it with the link."""

    def __init__(self, link: RedisLink, *, otherwise: StoreWakeup, unit_random: Callable[[], float]) -> None:
        self._link = link
        self._otherwise = otherwise
        self._unit_random = unit_random
        self._script = load("notify")
        self._notify_coalescer = NotifyCoalescer(self._tell, loop=lambda: link.loop)
        self._notify_coalescer_of_enough = NotifyCoalescer(
            self._tell, loop=lambda: link.loop, merge_seconds=_MERGE_OF_ENOUGH_SECONDS
        )
        self._nobody, self._enough = _Lately(_NOBODY_SECONDS), _Lately(_ENOUGH_SECONDS)
        """Whose workers there are none of, and whose have enough tokens at hand."""
        link.before_close(self._notify_coalescer.finish)
        link.before_close(self._notify_coalescer_of_enough.finish)

    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        send = self._otherwise.notify
        if not self._told_otherwise(queues, owners):
            enough = not owners and self._enough.all(queues, self._link.loop.time())
            send = (self._notify_coalescer_of_enough if enough else self._notify_coalescer).put
        send(queues=queues, owners=owners, later=later, more_work=more_work)

    def _told_otherwise(self, queues: Collection[str], owners: Collection[IncarnationId] = ()) -> bool:
        return not self._link.up or (not owners and self._nobody.all(queues, self._link.loop.time()))

    @contextmanager
    def within(self, *, queues: Collection[str], later: bool = False) -> Iterator[str | None]:
        if not self._told_otherwise(queues):
            yield None
        else:
            with self._otherwise.within(queues=queues, later=later) as hint:
                yield hint

    @asynccontextmanager
    async def subscribe(
        self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> AsyncIterator["RedisSubscription"]:
        publisher = AvailabilityPublisher(self._link, subscription_filter)

        def on_other_hint(hint: Hint) -> None:
            if hint.matched is not None:
                publisher.heard()
            elif not hint.queues:  # those who are told by name may be others now
                publisher.look()
            on_hint(hint)

        async with self._otherwise.subscribe(on_other_hint, subscription_filter) as other:
            subscription = RedisSubscription(
                self._link,
                on_hint,
                subscription_filter,
                other=other,
                publisher=publisher,
                unit_random=self._unit_random,
            )
            async with subscription.listening():
                yield subscription

    async def _tell(self, notification: Notification) -> None:
        queues, owners = list(notification.queues), list(notification.owners)
        slow = self._link.loop.call_later(_SLOW_SECONDS, self._tell_otherwise, notification, queues, owners)
        try:
            unheard = await self._notified(notification, queues, owners)
        except RedisAway:
            unheard = list(range(len(queues) + len(owners)))
        slow_at = slow.when()
        slow.cancel()
        if unheard and self._link.loop.time() < slow_at:
            count = len(queues)
            self._tell_otherwise(
                notification,
                [queues[place] for place in unheard if place < count],
                [owners[place - count] for place in unheard if place >= count],
            )

    async def _notified(
        self, notification: Notification, queues: list[str], owners: list[IncarnationId]
    ) -> list[int]:
        """The places of those whom nobody hears."""
        keys = self._link.keys
        unheard: list[int]
        enough: list[int]
        unheard, enough = await self._link.run(
            self._script,
            [keys.kinds(None), *map(keys.kinds, queues), *map(keys.listener, owners)],
            [
                keys.tokens(""),
                keys.inbox(""),
                _LIFETIME_MS,
                _TOKENS_ENOUGH,
                _TOKENS_OF_MORE_WORK if notification.more_work else 1,
                len(queues),
                *queues,
                *map(str, owners),
            ],
        )
        now = self._link.loop.time()
        self._nobody.note(queues, [queues[place] for place in unheard if place < len(queues)], now)
        self._enough.note(queues, [queues[place] for place in enough], now)
        return unheard

    def _tell_otherwise(
        self, notification: Notification, queues: Collection[str], owners: Collection[IncarnationId]
    ) -> None:
        self._otherwise.notify(
            queues=queues, owners=owners, later=notification.later, more_work=notification.more_work
        )


class RedisSubscription:
    """Hears tokens and its inbox on a connection of its own, and ``other`` beside it, always: callers' transactions tell
    by that.
    """

    def __init__(
        self,
        link: RedisLink,
        on_hint: Callable[[Hint], None],
        subscription_filter: SubscriptionFilter,
        *,
        other: StoreSubscription,
        publisher: AvailabilityPublisher,
        unit_random: Callable[[], float],
    ) -> None:
        self._link = link
        self._on_hint = on_hint
        self._subscription_filter = subscription_filter
        self._other = other
        self._publisher = publisher
        self._unit_random = unit_random
        self._announce_script, self._pass_on_script = load("announce"), load("pass_on")
        self._kind = _kind(subscription_filter)
        self._tokens = link.keys.tokens(self._kind)
        self._name = publisher.name
        self._inbox = link.keys.inbox(self._name)
        self._tokens_key = self._tokens.encode()
        self._owner: IncarnationId | None = None
        self._idle = False
        self._turned_idle = asyncio.Event()
        self._awaits_tokens: bool | None = None
        """Whether a token may be on its way here; None while nothing may, not even what is put into the inbox."""
        self._announce_now = asyncio.Event()
        self._announced = 0
        self._announced_owner: IncarnationId | None = None
        self._proven = asyncio.Event()
        """Set when what was announced last has come back."""
        self._attempted = asyncio.Event()
        self._healthy = False
        self._gap = False
        """Whether something may have been missed."""
        self._passing: set[asyncio.Task[None]] = set()
        self._backoff = Backoff(
            unit_random, first=timedelta(seconds=0.05), longest=timedelta(seconds=_ANNOUNCE_SECONDS)
        )

    @property
    def healthy(self) -> bool:
        return self._healthy

    def attend(self, *, owner: IncarnationId | None, idle: bool, room: int = 0) -> None:
        self._other.attend(owner=owner, idle=idle, room=room)
        self._publisher.update(owner, room)
        if owner != self._owner:
            self._owner = owner
            self._announce_now.set()
        if idle == self._idle:
            return
        self._idle = idle
        if not idle:
            self._turned_idle.clear()
            return
        self._turned_idle.set()
        if self._awaits_tokens is False:  # what comes into the inbox makes it wait anew, for tokens as well
            self._announce_now.set()

    def pass_on(self) -> None:
        self._pass_on("")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        stop = self._link.on_change(self._changed)
        listening = asyncio.create_task(self._listen(), name="schedora-hints")
        try:
            if not await _within(_FIRST_PROOF_SECONDS, self._attempted):
                self._gap = True
            yield
            await self._leave()
        finally:
            stop()
            listening.cancel()
            await asyncio.wait([listening, *self._passing])
        if not listening.cancelled():
            listening.result()

    async def _leave(self) -> None:
        """Takes no token along that is on its way."""
        await self._publisher.withdraw()
        self._idle = False
        if self._awaits_tokens and self._healthy:
            self._proven.clear()
            self._announce_now.set()
            await _within(_LEAVE_SECONDS, self._proven)

    async def _listen(self) -> None:
        """Runs until it is canceled."""
        while True:
            await self._link.until_up()
            try:
                async with self._link.own_connection() as connection:
                    await self._hear(connection)
            except* RedisAway as away:
                self._lost(str(away.exceptions[0]))
            self._attempted.set()
            await asyncio.sleep(self._backoff.next().total_seconds())

    async def _hear(self, connection: OwnConnection) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take(connection))
            both.create_task(self._announce_again_and_again())
            both.create_task(self._publisher.run(hears=self._other.hears, on_unheard=self._unheard))

    def _unheard(self) -> None:
        if self._owner is not None:
            self._on_hint(Hint(owners=frozenset({self._owner})))

    async def _take(self, connection: OwnConnection) -> None:
        try:
            while True:
                if not self._idle:
                    await _within(_BUSY_SECONDS, self._turned_idle)
                self._awaits_tokens = self._idle
                keys = (self._inbox, self._tokens) if self._idle else (self._inbox,)
                taken = await connection.call("BLPOP", *keys, _BLOCK.seconds, patience=_BLOCK)
                self._awaits_tokens = None
                if taken is not None:
                    self._received(*taken)
        finally:
            self._awaits_tokens = None

    def _received(self, key: bytes, value: bytes) -> None:
        if key == self._tokens_key:
            self._token(value.decode(errors="replace"))
        elif value.startswith(_PROBE):
            if value == self._probe:
                self._proven.set()
        elif value == ALL_TAKEN:
            self._publisher.exhausted()
        else:
            self._on_hint(_told(value))

    def _token(self, queue: str) -> None:
        if self._idle:
            self._on_hint(Hint(queues=frozenset({queue, *self._subscription_filter.queues})))
        else:
            self._pass_on(queue)

    def _pass_on(self, queue: str) -> None:
        task = asyncio.create_task(self._put_back(queue))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _put_back(self, queue: str) -> None:
        with suppress(RedisAway):  # then the token is gone as all others are
            await self._link.run(self._pass_on_script, [self._tokens], [queue, _LIFETIME_MS, _TOKENS_ENOUGH])

    async def _announce_again_and_again(self) -> None:
        while True:
            self._announce_now.clear()
            known = await self._announce()
            if not await _within(_PROBE_SECONDS, self._proven):
                raise RedisAway(f"what is put into a list of {self._link.description} does not arrive")
            if not self._healthy or not known:
                self._found(emptied=not known)
            self._attempted.set()
            spread = 0.75 + self._unit_random() / 2
            await _within(_ANNOUNCE_SECONDS * spread, self._announce_now)

    async def _announce(self) -> bool:
        """Whether Redis still knew what was announced before."""
        keys, owner = self._link.keys, self._owner
        sets = [keys.kinds(queue) for queue in self._subscription_filter.queues] or [keys.kinds(None)]
        listeners = [] if owner is None else [keys.listener(owner)]
        self._announced += 1
        self._proven.clear()
        known = await self._link.run(
            self._announce_script,
            [self._inbox, *sets, *listeners],
            [_SILENCE_MS, self._kind, self._name, self._probe, len(sets)],
        )
        first = self._announced == 1 or owner != self._announced_owner
        self._announced_owner = owner
        return bool(known) or first

    @property
    def _probe(self) -> bytes:
        return _PROBE + str(self._announced).encode()

    def _changed(self, up: bool) -> None:
        if not up:
            self._lost("redis is away")

    def _lost(self, why: str) -> None:
        if self._link.up:  # else the link has said so
            log.warning("hints do not arrive: polling often", reason=why)
        self._gap = True
        if self._healthy:
            self._healthy = False
            self._on_hint(Hint())

    def _found(self, *, emptied: bool) -> None:
        self._healthy = True
        self._backoff.reset()
        if self._gap or emptied:
            self._gap = False
            self._on_hint(Hint())


def _told(value: bytes) -> Hint:
    """Whatever it is that somebody put into an inbox: what can't be read may mean anything."""
    try:
        return Hint(owners=frozenset({IncarnationId(UUID(value.decode()))}))
    except ValueError:
        return Hint()


def _kind(subscription_filter: SubscriptionFilter) -> str:
    described = orjson.dumps([sorted(subscription_filter.queues), sorted(subscription_filter.types)])
    return blake2b(described, digest_size=12).hexdigest()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it comes in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
