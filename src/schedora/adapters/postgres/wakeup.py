"""Hints over LISTEN and NOTIFY.

A hint is one NOTIFY, sent through the pool in a transaction of its own: within the transactions of others it makes
their commits wait for each other, in the whole server, which only callers' own transactions are asked to bear, and
single submissions as long as they are rare: they save a round trip by it. A subscription has a connection of its own.
Whether hints arrive it finds out by sending itself one: behind a pooler in transaction mode they don't, unless there is a
direct way past it.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import UUID, uuid4

import asyncpg
import orjson

from schedora.adapters.postgres.duty_cycle_limiter import DutyCycleLimiter
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.errors import translated
from schedora.adapters.postgres.statements import Statement
from schedora.adapters.postgres.sync_match import channel, listener_lock_key, matched_job
from schedora.application.errors import StoreUnavailable
from schedora.application.notify_coalescer import Notification, NotifyCoalescer
from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from schedora.domain.ids import IncarnationId

CHANNEL = "schedora"

_LOCK, _UNLOCK = "select pg_try_advisory_lock($1)", "select pg_advisory_unlock($1)"
"""Held by a session that hears what its owner is told: it goes with the session, however that ends. Not waited for: a session
that waits for a lock is told of nothing meanwhile, and an earlier one of the same owner's may live on for hours at a server
that has not noticed that its client is gone.
"""
_LOCK_AGAIN_SECONDS = 1.0
NOTIFY = Statement(
    "select pg_notify($1, $2) where pg_notification_queue_usage() < 0.5", ("channel", "payload")
)
"""Where the queue of notifications is full, the commit fails, and that may be of a transaction of somebody's own."""
_PAYLOAD_BYTES_MAX = 7_900  # PostgreSQL takes less than 8,000
_REST = 10
"""One part in so many of the time, a process may commit with hints within."""
_FIRST_ATTEMPT_SECONDS = 2.0
_PROBE_TIMEOUT_SECONDS = 5.0
_PROBE_INTERVAL_SECONDS = 60.0
_BACKOFF_MIN_SECONDS, _BACKOFF_MAX_SECONDS = 0.05, 10.0
_PAST_POOLER = "set DATABASE_DIRECT_URL to a way past the pooler; until then workers poll, every half second"

_logger = logging.getLogger(__name__)


class PostgresWakeup:
    """``unit_random``, in [0, 1), spreads the reconnects of many processes."""

    def __init__(
        self,
        database: Database,
        *,
        unit_random: Callable[[], float] = random.random,
        monotonic_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._unit_random = unit_random
        self._notify_coalescer = NotifyCoalescer(self._notify, loop=lambda: database.loop)
        self._duty_cycle_limiter = DutyCycleLimiter(monotonic_seconds, rest=_REST)
        database.before_close(self._notify_coalescer.finish)

    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        self._notify_coalescer.put(queues=queues, owners=owners, later=later, more_work=more_work)

    @contextmanager
    def within(self, *, queues: Collection[str], later: bool = False) -> Iterator[str | None]:
        """A payload for ``CHANNEL``. To be called on the database's event loop."""
        if not queues or not self._duty_cycle_limiter.due or not self._notify_coalescer.pass_by():
            yield None
            return
        with self._duty_cycle_limiter.spent():
            yield encoded(Hint(queues=frozenset(queues), later=later, shared=True))

    @asynccontextmanager
    async def subscribe(
        self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> AsyncIterator["PostgresSubscription"]:
        subscription = PostgresSubscription(self._database, on_hint, subscription_filter, self._unit_random)
        listening = asyncio.create_task(subscription.listen())
        try:
            # A database that is away is no reason not to begin.
            await _within(_FIRST_ATTEMPT_SECONDS, subscription.attempted)
            yield subscription
        finally:
            listening.cancel()
            await asyncio.wait([listening])
        if not listening.cancelled():
            listening.result()

    async def _notify(self, notification: Notification) -> None:
        hint = Hint(
            queues=notification.queues,
            owners=notification.owners,
            later=bool(notification.queues) and notification.later,
            shared=bool(notification.queues) and not notification.more_work,
        )
        try:
            await self._database.fetch(NOTIFY, channel=CHANNEL, payload=encoded(hint))
        except (StoreUnavailable, asyncpg.PostgresError) as error:  # such as: its queue of them is full
            _logger.debug("a hint was lost: %s", error)


class PostgresSubscription:
    """One listening connection, made anew for as long as ``listen`` runs."""

    def __init__(
        self,
        database: Database,
        on_hint: Callable[[Hint], None],
        subscription_filter: SubscriptionFilter,
        unit_random: Callable[[], float],
    ) -> None:
        self.attempted = asyncio.Event()
        """Set when the first attempt to connect has come to its end, well or not."""
        self._database = database
        self._on_hint = on_hint
        self._subscription_filter = subscription_filter
        self._unit_random = unit_random
        self._healthy = False
        self._owner: IncarnationId | None = None
        self._heard_owner: IncarnationId | None = None
        """Whose own channel is listened to by now."""
        self._locked = False
        """Whether that one's lock is held here, and by no earlier session."""
        # One for all attempts: behind a pooler that nobody told of, each leaves its LISTEN to a session of others.
        self._probe = _Probe(database)
        self._stirred = asyncio.Event()
        """Set when there is something to do on the connection: it broke, or there is another owner."""

    @property
    def healthy(self) -> bool:
        return self._healthy

    def hears(self, owner: IncarnationId) -> bool:
        return owner == self._heard_owner

    def attend(self, *, owner: IncarnationId | None, idle: bool, room: int = 0) -> None:  # noqa: ARG002 - all are told
        if owner != self._owner:
            self._owner = owner
            self._stirred.set()

    def pass_on(self) -> None:
        """Everybody was told."""

    async def listen(self) -> None:
        """Runs until it is canceled."""
        if not self._database.has_sessions:
            # Not even tried: a LISTEN would stay with a session that the pooler gives to others.
            _logger.warning(
                "hints are off: no NOTIFY comes through the pooler at %s; %s",
                self._database.description,
                _PAST_POOLER,
            )
            self.attempted.set()
            await asyncio.Event().wait()
        failures = 0
        while True:
            try:
                await self._listen_once(after_gap=self.attempted.is_set())
            except Exception as error:  # whatever it is: who does not listen any more is deaf for good
                known = isinstance(error, StoreUnavailable)
                first = self._healthy or not failures
                level = logging.WARNING if first else logging.DEBUG
                _logger.log(level, "hints are off: %s", error, exc_info=None if known else error)
            failures = 1 if self._healthy else failures + 1
            if self._healthy:
                self._healthy = False
                self._on_hint(Hint())
            self.attempted.set()
            await asyncio.sleep(self._backoff_seconds(failures))

    async def _listen_once(self, *, after_gap: bool) -> None:
        connection = await self._database.connect_with_session()
        lost = asyncio.Event()

        def broke(_connection: object) -> None:
            lost.set()
            self._stirred.set()

        try:
            connection.add_termination_listener(broke)
            with translated(self._database.description):
                await connection.add_listener(CHANNEL, self._receive)
                await connection.add_listener(self._probe.channel, self._probe.receive)
            self.attempted.set()
            if after_gap:
                self._on_hint(Hint())
            while not lost.is_set():
                if not await self._probe.arrives():
                    raise StoreUnavailable(
                        f"what {self._database.description} is told to tell does not arrive. If a pooler in transaction"
                        f" mode stands there, {_PAST_POOLER}"
                    )
                self._healthy = True
                await self._until_lost(connection, lost, _PROBE_INTERVAL_SECONDS)
            raise StoreUnavailable(f"the listening connection to {self._database.description} broke")
        finally:
            self._heard_owner, self._locked = None, False
            connection.terminate()

    async def _until_lost(
        self, connection: "asyncpg.Connection[asyncpg.Record]", lost: asyncio.Event, seconds: float
    ) -> None:
        """For no longer than that; but what it does meanwhile, to listen to whoever is the owner, it brings to its end: cut
        short, it may leave the connection deaf.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not lost.is_set() and (left := until - loop.time()) > 0:
            if (owner := self._owner) != self._heard_owner:
                await self._listen_to(connection, owner)
            elif owner is None or self._locked:
                await self._until_stirred(left)
            elif not await self._until_stirred(min(left, _LOCK_AGAIN_SECONDS)):
                await self._lock(connection, owner)

    async def _until_stirred(self, seconds: float) -> bool:
        stirred = await _within(seconds, self._stirred)
        self._stirred.clear()
        return stirred

    async def _listen_to(
        self, connection: "asyncpg.Connection[asyncpg.Record]", owner: IncarnationId | None
    ) -> None:
        before, self._heard_owner = self._heard_owner, None
        with translated(self._database.description):
            if before is not None:
                if self._locked:
                    await connection.execute(_UNLOCK, listener_lock_key(before))
                    self._locked = False
                await connection.remove_listener(channel(before), self._receive_matched)
            if owner is not None:
                await self._lock(connection, owner)
                await connection.add_listener(channel(owner), self._receive_matched)
        self._heard_owner = owner
        if owner is not None:  # it may have been told of something before
            self._on_hint(Hint(owners=frozenset({owner})))

    async def _lock(self, connection: "asyncpg.Connection[asyncpg.Record]", owner: IncarnationId) -> None:
        """Where an earlier session has it, that says as well that this owner hears."""
        with translated(self._database.description):
            self._locked = bool(await connection.fetchval(_LOCK, listener_lock_key(owner)))

    def _receive_matched(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        if (owner := self._owner) is not None:
            self._on_hint(Hint(owners=frozenset({owner}), matched=matched_job(str(payload), owner)))

    def _receive(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        hint = decoded(str(payload))
        if hint == Hint() or hint.owners or self._subscription_filter.looks_into(hint.queues):
            self._on_hint(hint)

    def _backoff_seconds(self, failures: int) -> float:
        ceiling = min(_BACKOFF_MIN_SECONDS * float(1 << min(failures, 16)), _BACKOFF_MAX_SECONDS)
        return ceiling * (0.5 + self._unit_random() / 2)


class _Probe:
    """Asks whether what is sent arrives, on a channel that nobody else listens to."""

    def __init__(self, database: Database) -> None:
        self.channel = f"{CHANNEL}_{uuid4().hex}"
        self._database = database
        self._arrived = asyncio.Event()
        self._asked = 0

    async def arrives(self) -> bool:
        self._asked += 1
        self._arrived.clear()
        await self._database.fetch(NOTIFY, channel=self.channel, payload=str(self._asked))
        return await _within(_PROBE_TIMEOUT_SECONDS, self._arrived)

    def receive(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        if payload == str(self._asked):
            self._arrived.set()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it comes in time. Not by ``wait_for``, which before Python 3.12 may lose a cancellation: then nobody
    could leave a subscription any more.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def encoded(hint: Hint) -> str:
    """What tells too much to fit tells nothing, which may mean anything."""
    payload = orjson.dumps(
        {
            "queues": sorted(hint.queues),
            "owners": sorted(map(str, hint.owners)),
            **({"later": True} if hint.later else {}),
            **({"more_work": True} if hint.queues and not hint.shared else {}),
        }
    )
    return payload.decode() if len(payload) <= _PAYLOAD_BYTES_MAX else "{}"


def decoded(payload: str) -> Hint:
    """Whatever it is that somebody sent: a hint that can't be read may mean anything."""
    try:
        told = orjson.loads(payload)
        queues = frozenset(map(str, told.get("queues", ())))
        return Hint(
            queues=queues,
            later=bool(told.get("later", False)),
            shared=bool(queues) and not told.get("more_work", False),
            owners=frozenset(IncarnationId(UUID(owner)) for owner in told.get("owners", ())),
        )
    except (ValueError, TypeError, AttributeError):
        return Hint()
