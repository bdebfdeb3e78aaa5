"""Moves of jobs as they happen, for any number of listeners: one reader a process, however many there are.

The reader runs while anyone listens. It keeps a listener announced, so that whoever moves jobs tells of it; which is
forgotten some time after the last listener has left. So it is known where a listener may have missed something:
nowhere from ``Ready`` on, unless ``Gap`` says so.

A listener that goes on from an earlier place reads what it missed by itself, up to where the reader is, and then hears
what the reader hears. The two overlap, for places can't be compared; what came twice is passed over.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from attrs import define, frozen

from schedora.application.backoff import Backoff
from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import Events, Position, Reading
from schedora.domain.events import JobEvent, Notice
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job_state import JobState

log = Logger("schedora.events")

LISTENER_SPAN = timedelta(seconds=60)
LISTENER_RENEWED_EVERY = timedelta(seconds=15)
FRESH_FOR = timedelta(seconds=30)
"""So old may a mark be that a listener has surely been there ever since: less than is left of one when its last
listener leaves, by as much as clocks may differ."""

PATIENCE = timedelta(seconds=10)
READ_LIMIT = 200
MISSED_LIMIT = 500
OVERLAPPING_PAGES_MAX = 20
"""Where it never ends, for so much is told, nobody can say that nothing was missed."""

DOUBLED_MAX = OVERLAPPING_PAGES_MAX * MISSED_LIMIT
"""Of what was read by itself, the newest: so far the reader may lag behind a listener."""

READERS_OF_THE_MISSED_MAX = 8
"""After a restart all come back at once; the store has others to serve."""

QUEUE_MAX = 1_000
"""Moves that wait for one listener."""

TAKEN_MAX = 100
"""Of those, at a time: what is sent is as long as that."""

OVERLAP = timedelta(seconds=15)
FIRST_PAUSE = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(seconds=5)


@frozen
class Mark:
    """A place in the feed, and when it was the newest one."""

    position: Position
    at: datetime


@define(eq=False)
class Move:
    """One move as it is told to all who listen. ``frame`` is for who sends it: one encoding for however many."""

    mark: Mark
    notice: Notice
    frame: bytes | None = None


class Missed(StrEnum):
    """Why something may have been missed."""

    LOST = "lost"
    """It is kept no more, or was lost before it could be told."""
    UNATTENDED = "unattended"
    """There may have been a time without listeners, and then nobody tells."""
    UNKNOWN_ID = "unknown_id"
    """Where to go on from was not said in a way that is understood here."""


@frozen
class Gap:
    """Something may have been missed before this."""

    why: Missed


@frozen
class Ready:
    """From here on, every move is told."""

    mark: Mark


Item = Move | Gap | Ready
Hear = Callable[[Item], None]


@frozen(kw_only=True)
class EventFilter:
    """Of what is empty, any will do. ``states`` are those that a job comes to."""

    queues: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    states: frozenset[JobState] = frozenset()
    workflow_ids: frozenset[WorkflowId] = frozenset()
    job_ids: frozenset[JobId] = frozenset()

    def fits(self, notice: Notice) -> bool:
        return (
            (not self.job_ids or notice.job_id in self.job_ids)
            and (not self.workflow_ids or notice.workflow_id in self.workflow_ids)
            and (not self.queues or notice.queue in self.queues)
            and (not self.types or notice.type in self.types)
            and (not self.states or notice.event.to_state in self.states)
        )


class Listener:
    """What one stream hears, in order, in a queue with a bound. ``take`` empties it; ``wake`` is set when there is
    something in it. One that does not keep up is told so by ``on_overrun``, and hears nothing more.
    """

    def __init__(
        self, feed: "EventFeed", wanted: EventFilter, wake: asyncio.Event, on_overrun: Callable[[], None]
    ) -> None:
        self._feed = feed
        self._wanted = wanted
        self._wake = wake
        self._on_overrun = on_overrun
        self._queue: deque[Item] = deque()
        self._behind: Position | None = None
        """Where to read on what was missed."""
        self._pages_left = OVERLAPPING_PAGES_MAX
        self._deaf = False
        """Too far behind to hear what the reader hears; or overrun."""
        self._doubled: dict[tuple[JobId, JobEvent], None] = {}
        """What was read here and may come from the reader as well, until ``_overlap_ends``; oldest first."""
        self._overlap_ends = timedelta(0)

    @property
    def mark(self) -> Mark | None:
        """Where a client goes on that got all that was taken; None where that is no place of the reader's."""
        return None if self._queue or self._behind is not None else self._feed.newest

    def hear(self, item: Item) -> None:
        if self._deaf and not isinstance(item, Gap):
            return
        if isinstance(item, Move) and (not self._wanted.fits(item.notice) or self._is_doubled(item)):
            return
        if len(self._queue) >= QUEUE_MAX:
            self._deaf = True
            self._queue.clear()
            self._on_overrun()
            return
        self._queue.append(item)
        self._wake.set()

    def begin(self, after: Mark | None, *, fresh: bool) -> None:
        """Goes on from there: from now, where that is None."""
        if after is None:
            self._say_ready()
            return
        if not fresh:
            self._queue.append(Gap(Missed.UNATTENDED))
        self._behind = after.position
        self._deaf = True
        self._wake.set()

    async def take(self) -> Sequence[Item]:
        """What there is, oldest first. Raises ``StoreUnavailable`` where it reads what was missed and can't; the
        next call tries again.
        """
        if self._behind is not None:
            return await self._take_missed(self._behind)
        if self._doubled and self._feed.clock.monotonic() > self._overlap_ends:
            self._doubled.clear()
        return [self._queue.popleft() for _ in range(min(TAKEN_MAX, len(self._queue)))]

    async def _take_missed(self, behind: Position) -> Sequence[Item]:
        try:
            reading = await self._feed.missed(behind)
        except StoreUnavailable:
            raise
        except Exception:
            # Its client would come back to the same place, again and again.
            log.exception("reading what was missed failed; going on from now")
            self._behind, self._deaf = None, False
            self._say_ready()
            return [Gap(Missed.LOST)]
        told = [move for move in self._feed.moves_of(reading) if self._wanted.fits(move.notice)]
        taken: list[Item] = []
        heard_meanwhile = not self._deaf
        if not heard_meanwhile:
            taken += self._queue  # a gap before all of this
            self._queue.clear()
        if not reading.complete:
            taken.append(Gap(Missed.LOST))
        taken += told
        self._doubled.update(dict.fromkeys(map(_same, told)))
        for oldest in tuple(islice(self._doubled, max(0, len(self._doubled) - DOUBLED_MAX))):
            del self._doubled[oldest]
        self._pass_over_doubled()
        self._overlap_ends = self._feed.clock.monotonic() + OVERLAP
        self._behind = reading.position
        if not heard_meanwhile and len(reading.told) < MISSED_LIMIT:
            # Near the end. What comes from now on is heard; what has come since is read, until there is nothing more.
            self._deaf = False
        elif heard_meanwhile and (not reading.told or self._pages_left == 0):
            if reading.told or self._is_ahead_of(reading):
                taken.append(Gap(Missed.LOST))
            self._behind = None
            self._say_ready()
        elif heard_meanwhile:
            self._pages_left -= 1
        self._wake.set()
        return taken

    def _is_ahead_of(self, reading: Reading) -> bool:
        """Whether the reader, with which it goes on, may have read what is out of reach here."""
        newest = self._feed.newest
        return reading.out_of_reach and (newest is None or newest.position != reading.position)

    def _pass_over_doubled(self) -> None:
        """Of what is in the queue already."""
        kept = [item for item in self._queue if not (isinstance(item, Move) and self._is_doubled(item))]
        self._queue = deque(kept)

    def _is_doubled(self, move: Move) -> bool:
        """Once."""
        if not self._doubled or (same := _same(move)) not in self._doubled:
            return False
        del self._doubled[same]
        return True

    def _say_ready(self) -> None:
        """Unless it is the feed that will."""
        if self._feed.ready and self._feed.newest is not None:
            self._queue.append(Ready(self._feed.newest))
            self._wake.set()


class _Run:
    """The reader from the first listener to the last."""

    def __init__(self) -> None:
        self.newest: Mark | None = None
        self.failure: StoreUnavailable | None = None
        self.outcome = asyncio.Event()
        """There is a mark, or a failure instead of one."""
        self.attended_at: timedelta | None = None
        """When the listener was last announced, as the monotonic clock tells it."""
        self.attended_since: datetime | None = None
        """From when on all knew of it; None while it is new."""
        self.begins_anew = False
        """It has lost its place, and has no other yet."""


class EventFeed:
    """Use it on one event loop."""

    def __init__(self, events: Events, clock: Clock, unit_random: Callable[[], float]) -> None:
        self.clock = clock
        self._events = events
        self._unit_random = unit_random
        self._hearers: dict[object, Hear] = {}
        self._run: _Run | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._reading_missed = asyncio.Semaphore(READERS_OF_THE_MISSED_MAX)

    @property
    def newest(self) -> Mark | None:
        """Where the reader is; None while it is nowhere yet."""
        return None if self._run is None else self._run.newest

    @property
    def ready(self) -> bool:
        """Whether all who move jobs know of the listener."""
        return self._run is not None and self._run.attended_since is not None

    @contextmanager
    def heard_by(self, hear: Hear) -> Iterator[None]:
        """``hear`` is called with all that the reader comes across, on the event loop; it must be quick."""
        with self._joined(hear):
            yield

    @asynccontextmanager
    async def listen(
        self,
        wanted: EventFilter,
        *,
        after: Mark | None = None,
        wake: asyncio.Event,
        on_overrun: Callable[[], None],
    ) -> AsyncIterator[Listener]:
        """Hears what is wanted, from now on or from ``after`` on. Raises ``StoreUnavailable`` where neither is known
        and the store is away.
        """
        listener = Listener(self, wanted, wake, on_overrun)
        with self._joined(listener.hear) as run:
            listener.begin(after, fresh=after is not None and self._attended_since(after.at, run))
            if after is None:
                await self._known(run)
            yield listener

    async def missed(self, after: Position) -> Reading:
        """What was told after that. Raises ``StoreUnavailable``."""
        async with self._reading_missed:
            return await self._events.read(after, limit=MISSED_LIMIT, patience=timedelta(0))

    def moves_of(self, reading: Reading) -> Iterator[Move]:
        now = self.clock.now()
        return (Move(Mark(told.position, now), told.notice) for told in reading.told)

    async def close(self) -> None:
        """Ends the reader, whoever may listen."""
        self._stop()
        await asyncio.gather(*self._ending, return_exceptions=True)

    @contextmanager
    def _joined(self, hear: Hear) -> Iterator[_Run]:
        key = object()
        self._hearers[key] = hear
        if self._run is None:
            self._run = _Run()
            # In a context of its own: it is nobody's in particular.
            self._reader = asyncio.create_task(
                self._read(self._run), name="schedora-event-feed", context=Context()
            )
        try:
            yield self._run
        finally:
            del self._hearers[key]
            if not self._hearers:
                self._stop()

    def _stop(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._ending.add(self._reader)
            self._reader.add_done_callback(self._ending.discard)
        self._run = self._reader = None

    async def _known(self, run: _Run) -> None:
        """Until the reader is somewhere. Raises ``StoreUnavailable`` when its first try fails."""
        await run.outcome.wait()
        if run.newest is None and run.failure is not None:
            raise run.failure

    def _attended_since(self, instant: datetime, run: _Run) -> bool:
        if run.attended_since is not None and run.attended_since <= instant:
            return True
        return self.clock.now() - instant <= FRESH_FOR

    async def _read(self, run: _Run) -> None:
        backoff = Backoff(self._unit_random, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        while True:
            try:
                await self._read_once(run)
            except StoreUnavailable as error:
                if run.failure is None:
                    log.warning("events can't be read; trying again", error=str(error))
                run.failure = error
                run.outcome.set()
                await self.clock.sleep(backoff.next())
            except Exception:
                # A defect, or something told that nobody can read. Who listens must not wait for ever in silence.
                log.exception("reading events failed; going on from now")
                run.newest, run.begins_anew = None, True
                self._tell_all(Gap(Missed.LOST))
                await self.clock.sleep(backoff.next())
            else:
                if run.failure is not None:
                    log.info("events are read again")
                run.failure = None
                backoff.reset()

    async def _read_once(self, run: _Run) -> None:
        if run.newest is None:
            run.newest = Mark(await self._events.now(), self.clock.now())
            run.outcome.set()
            if run.begins_anew:  # said once more: up to here, all was missed
                run.begins_anew = False
                self._tell_all(Gap(Missed.LOST))
                if run.attended_since is not None:  # who came meanwhile has not been told
                    self._tell_all(Ready(run.newest))
        await self._attend(run)
        renew_at = (run.attended_at or timedelta(0)) + LISTENER_RENEWED_EVERY
        patience = max(timedelta(0), min(PATIENCE, renew_at - self.clock.monotonic()))
        reading = await self._events.read(run.newest.position, limit=READ_LIMIT, patience=patience)
        if not reading.complete:
            self._tell_all(Gap(Missed.LOST))
        for move in self.moves_of(reading):
            self._tell_all(move)
        run.newest = Mark(reading.position, self.clock.now())

    async def _attend(self, run: _Run) -> None:
        """Announces the listener, where that is due. Where it had been forgotten, there was a time without one."""
        now = self.clock.monotonic()
        if run.attended_at is not None and now - run.attended_at < LISTENER_RENEWED_EVERY:
            return
        await self._events.attend(LISTENER_SPAN)
        if run.attended_at is None:
            run.attended_since = self.clock.now()
            if run.newest is not None:
                self._tell_all(Ready(run.newest))
        elif self.clock.monotonic() - run.attended_at >= LISTENER_SPAN:  # as it takes its time, too
            run.attended_since = self.clock.now()
            self._tell_all(Gap(Missed.UNATTENDED))
        run.attended_at = now

    def _tell_all(self, item: Item) -> None:
        for hear in tuple(self._hearers.values()):
            hear(item)


def _same(move: Move) -> tuple[JobId, JobEvent]:
    """What tells one move from all others."""
    return move.notice.job_id, move.notice.event
