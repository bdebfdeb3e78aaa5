"""Events in a stream: one entry a batch, and what Redis can't take is told otherwise.

A position is a pair, of the stream's and of the other's: a reader sees what was told over either. While Redis is there it
looks at the other now and then, for publishers that can't reach Redis; while it is away, at that alone. Who goes from one
to the other, Redis away or back, may cross what it told before.

Every batch carries a number, and the stream an epoch that is random: a hole in the numbers, or another epoch, tells that
something is gone, whether it was trimmed, lost in a failover or emptied. Who listens is none of Redis' business: it is
known otherwise, so that it outlives Redis.
"""

import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import uuid4

from schedora.adapters.redis.errors import CommandRefused, RedisAway
from schedora.adapters.redis.link import OwnConnection, RedisLink
from schedora.adapters.redis.scripts import load
from schedora.application.notices import decode_notices, encode_notices
from schedora.application.outgoing import BATCH_MAX, Outgoing
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import Events, Position, Reading, Told
from schedora.application.ports.metrics import Counter, Metrics
from schedora.domain.events import Notice

BATCHES_KEPT: Final = 2_000
LIFETIME: Final = timedelta(minutes=10)
_LIFETIME_MS = LIFETIME // timedelta(milliseconds=1)
_ASIDE = timedelta(seconds=1)
"""How often a reader looks at what is told otherwise while Redis is there; and at Redis, while it is away."""
_IDLE_MAX = timedelta(seconds=10)
"""A connection that was not used for longer may have been closed by the server: no sign that it is away."""
_AT_ONCE = timedelta(0)


class _Place(NamedTuple):
    """Behind the batch of this number; behind the first ``offset`` notices of it where that is not 0."""

    epoch: str
    number: int
    id: str
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}.{self.id}.{self.offset}"


class _Pair(NamedTuple):
    """``place`` is None while Redis has not been there."""

    place: _Place | None
    other: Position

    @property
    def position(self) -> Position:
        return Position(f"{self.place or ''}|{self.other}")


class _Batch(NamedTuple):
    epoch: str
    number: int
    id: str
    lost: int
    notices: list[Notice]


class _Stretch(NamedTuple):
    """A part of the stream: notices, each with the place behind it, and the place behind all."""

    told: list[tuple[_Place, Notice]]
    place: _Place | None
    complete: bool
    out_of_reach: bool = False


class RedisEvents:
    """``otherwise`` tells what Redis can't, and knows who listens. Open, close and use it with the link."""

    def __init__(self, link: RedisLink, metrics: Metrics, clock: Clock, *, otherwise: Events) -> None:
        self._link = link
        self._metrics = metrics
        self._clock = clock
        self._otherwise = otherwise
        self._keys = [link.keys.events(), link.keys.event_feed()]
        self._outgoing = Outgoing(self._send, loop=lambda: link.loop, metrics=metrics)
        self._looked_aside_at = clock.monotonic()
        self._listeners: list[_Listener] = []
        """Those that nobody waits on: no more than have waited at once."""
        link.before_close(self._finish)

    @property
    def wanted(self) -> bool:
        return self._otherwise.wanted

    def publish(self, notices: Sequence[Notice], *, lost: int = 0) -> None:
        if not (notices or lost) or not self._otherwise.wanted:
            return
        if self._link.up:
            self._outgoing.put(notices, lost=lost)
        else:
            self._otherwise.publish(notices, lost=lost)

    async def attend(self, span: timedelta) -> None:
        await self._otherwise.attend(span)

    async def now(self) -> Position:
        other = await self._otherwise.now()
        try:
            return _Pair(await self._last(), other).position
        except RedisAway:
            return _Pair(None, other).position

    async def read(self, after: Position, *, limit: int, patience: timedelta) -> Reading:
        pair = _pair(after)
        if pair is None:
            return Reading(told=(), position=await self.now(), complete=False)
        deadline = self._clock.monotonic() + patience
        while True:
            reading = await self._read(pair, limit, to_the_end=patience <= _AT_ONCE)
            left = deadline - self._clock.monotonic()
            if reading.told or not reading.complete or left <= _AT_ONCE:
                return reading
            pair = _pair(reading.position) or pair
            if not reading.out_of_reach:
                await self._wait(pair, min(left, self._until_looking_aside))
            else:
                other = await self._otherwise.read(pair.other, limit=limit, patience=min(left, _ASIDE))
                if other.told or not other.complete:
                    return _paired(pair.place, other, out_of_reach=True)
                pair = pair._replace(other=other.position)

    async def prune(self, older_than: timedelta) -> None:
        try:
            age_ms = older_than // timedelta(milliseconds=1)
            await self._link.run(load("prune_events"), self._keys[:1], [age_ms])
        except RedisAway:
            pass  # what it holds is bounded, and expires
        await self._otherwise.prune(older_than)

    async def _send(self, notices: Sequence[Notice], lost: int) -> None:
        if not self._link.up:
            self._otherwise.publish(notices, lost=lost)
            return
        arguments: list[str | int] = [
            uuid4().hex[:16], BATCHES_KEPT, _LIFETIME_MS, len(notices), lost, encode_notices(notices)
        ]  # fmt: skip
        try:
            await self._link.run(load("publish"), self._keys, arguments)
        except CommandRefused:
            self._otherwise.publish(notices, lost=lost)
        except RedisAway:  # and nobody knows whether it has these: twice is more than they are to be told
            self._metrics.count(Counter.EVENTS_DROPPED, amount=len(notices))
            self._otherwise.publish([], lost=lost + len(notices))

    async def _read(self, pair: _Pair, limit: int, *, to_the_end: bool) -> Reading:
        """What is there. Unless it is to go to the end, it looks aside now and then only: who waits comes again."""
        try:
            stretch = await self._of_stream(pair.place, limit)
        except RedisAway:
            stretch = _Stretch([], pair.place, complete=True, out_of_reach=True)
        found = stretch.told or not stretch.complete
        enough = found or not (to_the_end or stretch.out_of_reach)
        told = [
            Told(position=_Pair(place, pair.other).position, notice=notice) for place, notice in stretch.told
        ]
        if len(told) >= limit or (enough and self._until_looking_aside > _AT_ONCE):
            position = _Pair(stretch.place, pair.other).position
            return Reading(told=tuple(told), position=position, complete=stretch.complete)
        if not to_the_end:  # who does not wait leaves the others' turn to them
            self._looked_aside_at = self._clock.monotonic()
        other = await self._otherwise.read(pair.other, limit=limit - len(told), patience=_AT_ONCE)
        aside = _paired(stretch.place, other)
        return Reading(
            told=(*told, *aside.told),
            position=aside.position,
            complete=stretch.complete and aside.complete,
            out_of_reach=stretch.out_of_reach,
        )

    async def _of_stream(self, place: _Place | None, limit: int) -> _Stretch:
        if place is None:  # others may have seen before that it was back, and told over it
            return _Stretch([], await self._last(), complete=False)
        while True:
            start = place.id if place.offset else f"({place.id}"
            epoch, number, last_id, batches = await self._ask(start, limit + place.offset)
            if epoch != place.epoch:
                return _Stretch([], _Place(epoch, 0, "0-0"), complete=False)
            if not batches:
                # A new master whose clock is behind may have numbered others alike, in front of this place.
                same = number == place.number and last_id in (place.id, "0-0") and not place.offset
                here = place if same else _Place(epoch, number, last_id)
                return _Stretch([], here, complete=same)
            stretch = _stretch(place, batches, limit)
            if stretch.told or not stretch.complete or stretch.place is None:
                return stretch
            place = stretch.place  # all these were of before

    async def _last(self) -> _Place:
        epoch, number, last_id, _ = await self._ask("-", 0)
        return _Place(epoch, number, last_id)

    async def _ask(self, start: str, limit: int) -> tuple[str, int, str, list[_Batch]]:
        answer = await self._link.run(
            load("read_events"), self._keys, [uuid4().hex[:16], _LIFETIME_MS, start, limit]
        )
        epoch, number, last_id, batches = answer
        return epoch.decode(), number, last_id.decode(), [_batch(*batch) for batch in batches]

    async def _wait(self, pair: _Pair, patience: timedelta) -> None:
        """Until there is more in the stream, or for so long."""
        if pair.place is None:
            return
        listener = (
            self._listeners.pop() if self._listeners else _Listener(self._link, self._clock.monotonic())
        )
        if self._clock.monotonic() > listener.used_at + _IDLE_MAX:
            await listener.close()
            listener = _Listener(self._link, self._clock.monotonic())
        try:
            await listener.listen(self._keys[0], pair.place.id, patience)
        except RedisAway:
            await listener.close()
        except BaseException:
            await listener.close()
            raise
        else:
            listener.used_at = self._clock.monotonic()
            self._listeners.append(listener)

    @property
    def _until_looking_aside(self) -> timedelta:
        return self._looked_aside_at + _ASIDE - self._clock.monotonic()

    async def _finish(self) -> None:
        while self._listeners:
            await self._listeners.pop().close()
        await self._outgoing.finish()


class _Listener:
    """A connection of its own, for one who waits at a time."""

    def __init__(self, link: RedisLink, at: timedelta) -> None:
        self._link = link
        self._stack = AsyncExitStack()
        self._connection: OwnConnection | None = None
        self.used_at = at

    async def listen(self, key: str, after: str, patience: timedelta) -> None:
        """Raises ``RedisAway``; then, as after a cancellation, it is to be closed."""
        if self._connection is None:
            self._connection = await self._stack.enter_async_context(self._link.own_connection())
        span_ms = max(1, patience // timedelta(milliseconds=1))
        command = ("XREAD", "COUNT", 1, "BLOCK", span_ms, "STREAMS", key, after)
        await self._connection.call(*command, patience=patience)

    async def close(self) -> None:
        await self._stack.aclose()


def _stretch(place: _Place, batches: list[_Batch], limit: int) -> _Stretch:
    complete = True
    told: list[tuple[_Place, Notice]] = []
    expected = place.number if place.offset else place.number + 1
    end = place
    for batch in batches:
        if batch.epoch != place.epoch:  # of before: the feed was lost, and the stream was not
            end = end._replace(id=batch.id, offset=0)
            continue
        rest = bool(place.offset) and batch.number == place.number
        complete = complete and batch.number == expected
        complete = complete and (rest or not batch.lost)
        expected = batch.number + 1
        end = _Place(place.epoch, batch.number, batch.id)
        last = len(batch.notices)
        told += [
            (end._replace(offset=count if count < last else 0), notice)
            for count, notice in enumerate(batch.notices, start=1)
            if not rest or count > place.offset
        ]
    if len(told) > limit:
        told = told[:limit]
        end = told[-1][0]
    return _Stretch(told, end, complete)


def _paired(place: _Place | None, other: Reading, *, out_of_reach: bool = False) -> Reading:
    return Reading(
        told=tuple(
            Told(position=_Pair(place, one.position).position, notice=one.notice) for one in other.told
        ),
        position=_Pair(place, other.position).position,
        complete=other.complete,
        out_of_reach=out_of_reach,
    )


def _batch(entry_id: bytes, fields: list[Any]) -> _Batch:
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    return _Batch(
        epoch=values[b"epoch"].decode(),
        number=int(values[b"number"]),
        id=entry_id.decode(),
        lost=int(values[b"lost"]),
        notices=decode_notices(values[b"notices"]),
    )


_PAIR = re.compile(r"(?:([0-9a-f]{16})\.([0-9]{1,18})\.([0-9]{1,19}-[0-9]{1,19})\.([0-9]{1,6}))?\|(.*)")


def _pair(position: Position) -> _Pair | None:
    found = _PAIR.fullmatch(position)
    if found is None:
        return None
    epoch, number, entry_id, offset, other = found.groups()
    # No batch is as long, and to read over it would take its time.
    if epoch is not None and int(offset) > BATCH_MAX:
        return None
    place = None if epoch is None else _Place(epoch, int(number), entry_id, int(offset))
    return _Pair(place, Position(other))
