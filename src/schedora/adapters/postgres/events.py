"""Events in a table: one row a batch, numbered in the order of their commits."""

import asyncio
import re
from collections.abc import Sequence
from contextvars import Context
from datetime import timedelta
from typing import Final, NamedTuple

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import load, written
from schedora.application.errors import StoreUnavailable
from schedora.application.notices import decode_notices, encode_notices
from schedora.application.outgoing import BATCH_MAX, Outgoing
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import LOOK_INTERVAL, Position, Reading, Told
from schedora.application.ports.metrics import Metrics
from schedora.domain.events import Notice

PUBLISHING: Final = 7_261_980_440_165_937
"""The advisory lock of whoever appends events."""

_PRUNE_MAX = 1_000
_POLL_MIN, _POLL_MAX = timedelta(milliseconds=20), timedelta(milliseconds=250)
LONG_AGO: Final = timedelta.min

_LOOK = written("""
select f.attended_until - now() as still
from event_feed f
where f.attended_until > now()
""")
_ATTEND = written("""
insert into event_feed (attended_until) values (now() + :span::interval)
on conflict (one) do update
set attended_until = greatest(event_feed.attended_until, excluded.attended_until)
""")
_NOW = written("""
select greatest((select max(e.id) from events e), (select f.pruned_to from event_feed f), 0) as last
""")


class _Place(NamedTuple):
    """Behind the batch ``row``; behind the first ``offset`` notices of it where that is not 0."""

    row: int
    offset: int = 0

    @property
    def position(self) -> Position:
        return Position(f"{self.row}.{self.offset}")


class PostgresEvents:
    """Publishers learn of a listener by a look at one row, and readers poll: behind a pooler, too. A process that
    has nothing to tell, and nobody to tell it to, asks nothing.
    """

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        clock: Clock,
        *,
        look_interval: timedelta = LOOK_INTERVAL,
    ) -> None:
        self._database = database
        self._clock = clock
        self._look_interval = look_interval
        self._listeners = _Listeners(database, clock, look_interval)
        self._outgoing = Outgoing(self._send, loop=lambda: database.loop, metrics=metrics)
        self._attended_until = LONG_AGO
        self._known_at = LONG_AGO
        """When every publisher will have seen the listener, if it is there for as long."""
        database.before_close(self._outgoing.finish)

    @property
    def wanted(self) -> bool:
        return self._listeners.expected

    def publish(self, notices: Sequence[Notice], *, lost: int = 0) -> None:
        if (notices or lost) and self._listeners.expected:
            self._outgoing.put(notices, lost=lost)

    async def attend(self, span: timedelta) -> None:
        began = self._clock.monotonic()
        await self._database.fetch(_ATTEND, span=span)
        answered = self._clock.monotonic()
        if answered >= self._attended_until:  # it had come to its end, or may have: then this is a new one
            self._known_at = answered + self._look_interval
        self._attended_until = max(self._attended_until, began + span)
        self._listeners.seen(until=self._attended_until)
        await self._clock.sleep(self._known_at - answered)

    async def now(self) -> Position:
        (row,) = await self._database.fetch(_NOW)
        return _Place(row["last"]).position

    async def read(self, after: Position, *, limit: int, patience: timedelta) -> Reading:
        place = _place(after)
        if place is None:
            return Reading(told=(), position=await self.now(), complete=False)
        deadline = self._clock.monotonic() + patience
        pause = _POLL_MIN
        while True:
            reading = await self._read(place, limit)
            left = deadline - self._clock.monotonic()
            if reading.told or not reading.complete or left <= timedelta(0):
                return reading
            await self._clock.sleep(min(pause, left))
            pause = min(pause * 1.5, _POLL_MAX)

    async def prune(self, older_than: timedelta) -> None:
        while True:
            (row,) = await self._database.fetch(load("prune_events"), older_than=older_than, limit=_PRUNE_MAX)
            if row["gone"] < _PRUNE_MAX:
                return

    async def _send(self, notices: Sequence[Notice], lost: int) -> None:
        if await self._listeners.present():
            await self._database.fetch(
                load("publish"),
                key=PUBLISHING,
                amount=len(notices),
                lost=lost,
                notices=encode_notices(notices),
            )

    async def _read(self, place: _Place, limit: int) -> Reading:
        found = await self._database.fetch(
            load("read_events"),
            after=place.row,
            first=place.row + (0 if place.offset else 1),
            limit=limit + place.offset,
        )
        pruned_to, kept = found[0]["pruned_to"], found[0]["kept"]
        if place.row > pruned_to and not kept:  # of another time, or of another database
            return Reading(told=(), position=await self.now(), complete=False)
        complete = kept or (place.row == pruned_to and not place.offset)
        batches = [row for row in found if row["id"] is not None]
        told = [one for row in batches for one in _told(row)]
        if place.offset and kept:
            told = told[place.offset :]
        if any(row["lost"] for row in batches if row["id"] != place.row):
            complete = False
        if len(told) > limit:
            told = told[:limit]
            position = told[-1].position
        else:
            position = _Place(batches[-1]["id"]).position if batches else place.position
        return Reading(told=tuple(told), position=position, complete=complete)


class _Listeners:
    """What one process knows of it. Not knowing is no reason to keep silent."""

    def __init__(self, database: Database, clock: Clock, look_interval: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._look_interval = look_interval
        self._absent_until = LONG_AGO
        self._present_until = LONG_AGO
        self._look_at = LONG_AGO
        self._looking: asyncio.Task[None] | None = None
        self._look_is_due = False

    @property
    def expected(self) -> bool:
        """False where a look at most so long ago found nobody. Where nothing is known, a look begins."""
        now = self._clock.monotonic()
        if now < self._absent_until:
            return False
        if now >= self._present_until and now >= self._look_at and not self._look_is_due:
            self._look_is_due = True
            try:
                self._database.loop.call_soon_threadsafe(self._begin)
            except RuntimeError:  # without a loop nothing is sent, either
                self._look_is_due = False
        return True

    async def present(self) -> bool:
        """Whether to tell: unless nobody is there. Waits for a look that is due or under way."""
        if self.expected and self._look_is_due:
            await asyncio.sleep(0)  # lets it begin
        if self._looking is not None:
            await asyncio.wait([self._looking])
        return self._clock.monotonic() >= self._absent_until

    def seen(self, *, until: timedelta) -> None:
        """It is there for so long."""
        self._absent_until = LONG_AGO
        self._present_until = max(self._present_until, until)

    def _begin(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look(), context=Context())

    async def _look(self) -> None:
        began = self._clock.monotonic()
        self._look_at = began + self._look_interval
        try:
            found = await self._database.fetch(_LOOK)
        except StoreUnavailable:
            return
        finally:
            self._look_is_due = False
            self._looking = None
        if found:
            self._present_until = max(self._present_until, began + found[0]["still"])
        elif began >= self._present_until:
            self._absent_until = began + self._look_interval


def _told(row: Row) -> list[Told]:
    notices = decode_notices(row["notices"])
    last = len(notices)
    return [
        Told(position=_Place(row["id"], number if number < last else 0).position, notice=notice)
        for number, notice in enumerate(notices, start=1)
    ]


_POSITION = re.compile(r"([0-9]{1,18})\.([0-9]{1,6})")


def _place(position: Position) -> _Place | None:
    found = _POSITION.fullmatch(position)
    if found is None or int(found[2]) > BATCH_MAX:  # no batch is as long; to read over it would take its time
        return None
    return _Place(int(found[1]), int(found[2]))
