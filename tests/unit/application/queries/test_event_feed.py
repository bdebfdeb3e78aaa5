"""One reader for all who listen."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.events import MemoryEvents
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.events import Position, Reading
from schedora.application.queries import event_feed as module
from schedora.application.queries.event_feed import (
    FRESH_FOR,
    LISTENER_RENEWED_EVERY,
    LISTENER_SPAN,
    EventFeed,
    EventFilter,
    Gap,
    Item,
    Listener,
    Mark,
    Missed,
    Move,
    Ready,
)
from schedora.domain.events import JobEvent, Notice
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job_state import JobState
from tests.builders import NOON, SECOND, a_job_id, a_workflow_id

ALL = EventFilter()


class CountingEvents(MemoryEvents):
    """Counts what is asked of it."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.waiting = 0
        self.waiting_max = 0
        self.attended: list[timedelta] = []

    async def attend(self, span: timedelta) -> None:
        self.attended.append(span)
        await super().attend(span)

    async def read(self, after: Position, *, limit: int, patience: timedelta) -> Reading:
        self.waiting += patience > timedelta(0)
        self.waiting_max = max(self.waiting, self.waiting_max)
        try:
            return await super().read(after, limit=limit, patience=patience)
        finally:
            self.waiting -= patience > timedelta(0)


class Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        randomness = SeededRandomness(1, self.clock)
        self.events = CountingEvents(MemoryStore(clock=self.clock, randomness=randomness))
        self.feed = EventFeed(self.events, self.clock, lambda: 1.0)
        self.overrun: list[str] = []
        self.listening = AsyncExitStack()

    async def listen(
        self, wanted: EventFilter = ALL, after: Mark | None = None, name: str = "one"
    ) -> Listener:
        listener = await self.listening.enter_async_context(
            self.feed.listen(
                wanted, after=after, wake=asyncio.Event(), on_overrun=lambda: self.overrun.append(name)
            )
        )
        await settle()
        return listener

    async def tell(self, *notices: Notice) -> None:
        self.events.publish(notices)
        await settle()

    async def pass_time(self, span: timedelta) -> None:
        """As the clock does, from wait to wait."""
        end = self.clock.now() + span
        while (wait := self.clock.next_wait) is not None and wait <= end:
            self.clock.advance_to_next_wait()
            await settle()
        self.clock.advance(end - self.clock.now())
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.listening.aclose()
    await bench.feed.close()
    assert bench.clock.sleepers == 0, "nobody listens, nobody reads"


def a_notice(to: JobState = JobState.PENDING, **fields: Any) -> Notice:
    event = JobEvent(at=NOON, from_state=None, to_state=to, attempt=0)
    about: dict[str, Any] = {
        "job_id": a_job_id(), "type": "work", "queue": "mail", "workflow_id": None, "event": event
    }  # fmt: skip
    return Notice(**about | fields)


def moves(items: Sequence[Item]) -> list[Notice]:
    return [item.notice for item in items if isinstance(item, Move)]


def others(items: Sequence[Item]) -> list[object]:
    return [type(item) if isinstance(item, Ready) else item for item in items if not isinstance(item, Move)]


async def all_of(listener: Listener) -> list[Item]:
    """What it has, to the end."""
    taken: list[Item] = []
    for _ in range(100):
        more = await listener.take()
        if not more and listener.mark is not None:
            return taken
        taken += more
        await settle()
    raise AssertionError("it never ends")


async def place_of(listener: Listener) -> Mark:
    """Behind all that it has heard."""
    await listener.take()
    assert listener.mark is not None
    return listener.mark


async def test_what_is_told_is_heard_in_order_behind_the_word_that_all_is(bench: Bench) -> None:
    listener = await bench.listen()
    notices = [a_notice() for _ in range(3)]
    await bench.tell(*notices)
    taken = await listener.take()
    assert isinstance(taken[0], Ready)
    assert moves(taken) == notices
    assert await listener.take() == []


async def test_each_hears_what_it_wants_of_the_same_moves(bench: Bench) -> None:
    job_id, workflow_id = JobId(a_job_id()), WorkflowId(a_workflow_id())
    filters = {
        "all": ALL,
        "queue": EventFilter(queues=frozenset({"mail", "fax"})),
        "type": EventFilter(types=frozenset({"send"})),
        "state": EventFilter(states=frozenset({JobState.DEAD})),
        "workflow": EventFilter(workflow_ids=frozenset({workflow_id})),
        "job": EventFilter(job_ids=frozenset({job_id})),
        "both": EventFilter(queues=frozenset({"mail"}), states=frozenset({JobState.DEAD})),
    }
    notices = {
        "plain": a_notice(queue="other"),
        "mail": a_notice(),
        "send": a_notice(type="send", queue="other"),
        "dead": a_notice(JobState.DEAD, queue="other"),
        "dead mail": a_notice(JobState.DEAD),
        "of workflow": a_notice(workflow_id=workflow_id, queue="other"),
        "of job": a_notice(job_id=job_id, queue="other"),
    }
    listeners = {name: await bench.listen(wanted) for name, wanted in filters.items()}
    await bench.tell(*notices.values())
    heard = {name: await listener.take() for name, listener in listeners.items()}
    names = {
        name: [told for told, notice in notices.items() if notice in moves(items)]
        for name, items in heard.items()
    }
    assert names == {
        "all": list(notices),
        "queue": ["mail", "dead mail"],
        "type": ["send"],
        "state": ["dead", "dead mail"],
        "workflow": ["of workflow"],
        "job": ["of job"],
        "both": ["dead mail"],
    }
    [one] = [item for item in heard["type"] if isinstance(item, Move)]
    assert any(item is one for item in heard["all"]), "one encoding will do for all"


async def test_one_reader_serves_all_and_ends_with_the_last(bench: Bench) -> None:
    for _ in range(5):
        await bench.listen()
    assert bench.events.waiting == 1
    await bench.listening.aclose()
    await settle()
    assert (bench.events.waiting, bench.events.waiting_max, bench.clock.sleepers) == (0, 1, 0)
    await bench.listen()
    assert bench.events.waiting == 1


async def test_the_listener_is_renewed_while_anyone_listens(bench: Bench) -> None:
    await bench.listen()
    await bench.pass_time(3 * LISTENER_RENEWED_EVERY)
    assert bench.events.attended == [LISTENER_SPAN] * 4
    await bench.listening.aclose()
    await bench.pass_time(LISTENER_SPAN)
    assert len(bench.events.attended) == 4
    assert not bench.events.wanted


async def test_who_comes_later_is_ready_at_once(bench: Bench) -> None:
    await bench.listen()
    later = await bench.listen()
    [ready] = await later.take()
    assert isinstance(ready, Ready)


async def test_one_who_goes_on_hears_what_it_missed_and_nothing_twice(bench: Bench) -> None:
    listener = await bench.listen()
    first, second, third, fourth = (a_notice() for _ in range(4))
    await bench.tell(first, second)
    place = next(item for item in await listener.take() if isinstance(item, Move)).mark
    back = await bench.listen(after=place, name="two")
    await bench.tell(third)
    taken = await all_of(back)
    await bench.tell(fourth)
    taken += await all_of(back)
    assert moves(taken) == [second, third, fourth]
    assert others(taken) == [Ready]


async def test_one_who_goes_on_reads_page_by_page(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MISSED_LIMIT", 2)
    listener = await bench.listen()
    place = await place_of(listener)
    notices = [a_notice() for _ in range(7)]
    await bench.tell(*notices)
    back = await bench.listen(after=place)
    first = await back.take()
    assert moves(first) == notices[:2]
    assert back.mark is None, "it is not where the reader is"
    await bench.tell(a_notice())
    assert moves(await all_of(back))[:5] == notices[2:]


async def test_what_is_told_between_two_looks_at_the_missed_comes_once(bench: Bench) -> None:
    listener = await bench.listen()
    back = await bench.listen(after=await place_of(listener))
    notices = [a_notice() for _ in range(5)]
    heard: list[Item] = []
    for notice in notices:
        await bench.tell(notice)
        heard += await back.take()
    heard += await all_of(back)
    assert moves(heard) == notices


async def test_where_the_missed_never_ends_there_may_be_a_gap(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OVERLAPPING_PAGES_MAX", 3)
    listener = await bench.listen()
    back = await bench.listen(after=await place_of(listener))
    notices = [a_notice() for _ in range(9)]
    heard: list[Item] = []
    for notice in notices:
        await bench.tell(notice)
        heard += await back.take()
    heard += await all_of(back)
    assert moves(heard) == notices
    assert others(heard) == [Gap(Missed.LOST), Ready]


async def test_a_reader_that_lags_behind_tells_nothing_twice(bench: Bench) -> None:
    listener = await bench.listen()
    place, one, two = await place_of(listener), a_notice(), a_notice()
    bench.events.publish([one, two])  # the reader has not come to it
    back = await bench.listen(after=place)
    assert moves(await all_of(back)) == [one, two]
    await settle()
    assert moves(await all_of(back)) == []


async def test_a_fresh_mark_goes_on_without_a_gap_though_nobody_listened_meanwhile(bench: Bench) -> None:
    listener = await bench.listen()
    place = await place_of(listener)
    await bench.listening.aclose()
    missed = a_notice()
    await bench.pass_time(FRESH_FOR)
    await bench.tell(missed)
    back = await bench.listen(after=place)
    taken = await all_of(back)
    assert (moves(taken), others(taken)) == ([missed], [Ready])


async def test_an_older_mark_goes_on_behind_a_gap(bench: Bench) -> None:
    listener = await bench.listen()
    place = await place_of(listener)
    await bench.listening.aclose()
    await bench.pass_time(FRESH_FOR + SECOND)
    kept = a_notice()
    await bench.tell(kept)
    taken = await all_of(await bench.listen(after=place))
    assert taken[0] == Gap(Missed.UNATTENDED)
    assert moves(taken) == [kept]


async def test_an_old_mark_goes_on_without_a_gap_where_somebody_listened_all_the_while(bench: Bench) -> None:
    listener = await bench.listen()
    place = await place_of(listener)
    await bench.pass_time(10 * FRESH_FOR)
    assert others(await all_of(await bench.listen(after=place))) == [Ready]


async def test_a_mark_that_nobody_made_goes_on_behind_a_gap(bench: Bench) -> None:
    taken = await all_of(await bench.listen(after=Mark(Position("?"), bench.clock.now())))
    assert others(taken) == [Gap(Missed.LOST), Ready]


async def test_what_is_lost_is_said_to_all(bench: Bench) -> None:
    listeners = [await bench.listen() for _ in range(2)]
    for listener in listeners:
        await listener.take()
    kept = a_notice()
    bench.events.publish([kept], lost=3)
    await settle()
    for listener in listeners:
        taken = await listener.take()
        assert (taken[0], moves(taken)) == (Gap(Missed.LOST), [kept])


async def test_one_who_does_not_keep_up_is_told_so_once_and_hears_nothing_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_MAX", 3)
    slow, quick = await bench.listen(name="slow"), await bench.listen(name="quick")
    heard: list[Notice] = []
    notices = [a_notice() for _ in range(10)]
    for notice in notices:
        await bench.tell(notice)
        heard += moves(await quick.take())
    assert bench.overrun == ["slow"]
    assert heard == notices
    assert await slow.take() == []


async def test_a_mark_follows_the_reader_whatever_is_wanted(bench: Bench) -> None:
    listener = await bench.listen(EventFilter(queues=frozenset({"nobody's"})))
    assert others(await listener.take()) == [Ready]
    before = listener.mark
    await bench.tell(a_notice())
    assert listener.mark is not None
    assert before is not None
    assert listener.mark.position != before.position
    await bench.pass_time(LISTENER_SPAN)
    assert bench.clock.now() - listener.mark.at < FRESH_FOR, "a quiet stream can be taken up again, too"


async def test_it_begins_not_where_the_store_is_away(bench: Bench) -> None:
    bench.events.faults.away = True
    with pytest.raises(StoreUnavailable):
        await bench.listen()
    assert bench.feed.newest is None


async def test_it_goes_on_where_it_was_when_the_store_comes_back(bench: Bench) -> None:
    listener = await bench.listen()
    bench.events.faults.away = True
    kept = a_notice()
    await bench.pass_time(10 * SECOND)
    bench.events.publish([kept])
    await bench.pass_time(10 * SECOND)
    assert moves(await listener.take()) == []
    bench.events.faults.away = False
    await bench.pass_time(10 * SECOND)
    taken = await listener.take()
    assert (moves(taken), others(taken)) == ([kept], [])


async def test_a_time_without_a_listener_is_a_gap(bench: Bench) -> None:
    listener = await bench.listen()
    assert others(await listener.take()) == [Ready]
    bench.events.faults.away = True
    await bench.pass_time(LISTENER_SPAN)
    bench.events.faults.away = False
    await bench.pass_time(10 * SECOND)
    assert others(await listener.take()) == [Gap(Missed.UNATTENDED)]


async def test_what_was_missed_is_read_again_when_the_store_was_away(bench: Bench) -> None:
    listener = await bench.listen()
    place, missed = await place_of(listener), a_notice()
    await bench.tell(missed)
    back = await bench.listen(after=place)
    bench.events.faults.away = True
    with pytest.raises(StoreUnavailable):
        await back.take()
    bench.events.faults.away = False
    assert moves(await all_of(back)) == [missed]


async def test_something_told_that_can_not_be_read_is_a_gap_and_not_the_end(bench: Bench) -> None:
    listener = await bench.listen()
    await listener.take()
    with patch.object(bench.events, "_reading", side_effect=ZeroDivisionError), capture_logs() as lines:
        await bench.tell(a_notice())
    assert [line["event"] for line in lines] == ["reading events failed; going on from now"]
    assert others(await listener.take()) == [Gap(Missed.LOST)]
    await bench.pass_time(SECOND)
    after = a_notice()
    await bench.tell(after)
    assert moves(await listener.take()) == [after]


async def test_close_ends_it_whoever_listens(bench: Bench) -> None:
    await bench.listen()
    await bench.feed.close()
    assert bench.events.waiting == 0


@pytest.mark.parametrize("same", [True, False])
async def test_what_is_out_of_reach_is_a_gap_unless_it_goes_on_where_the_reader_is(
    bench: Bench, *, same: bool
) -> None:
    """The reader has read it before; who goes on with it will not."""
    listener = await bench.listen()
    place = await place_of(listener)
    read = bench.events.read

    async def cut_off(after: Position, *, limit: int, patience: timedelta) -> Reading:
        if patience > timedelta(0):
            return await read(after, limit=limit, patience=patience)
        return Reading(told=(), position=after, complete=True, out_of_reach=True)

    with patch.object(bench.events, "read", cut_off):
        if not same:
            await bench.tell(a_notice())
        taken = await all_of(await bench.listen(after=place))
    assert others(taken) == ([] if same else [Gap(Missed.LOST)]) + [Ready]


async def test_one_who_goes_on_while_the_reader_lags_far_behind_hears_nothing_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MISSED_LIMIT", 5)
    place = await place_of(await bench.listen())
    bench.events.faults.away = True
    await bench.pass_time(10 * SECOND)
    bench.events.faults.away = False
    notices = [a_notice() for _ in range(23)]
    bench.events.publish(notices)  # while the reader pauses
    back = await bench.listen(after=place)
    heard = await all_of(back)
    await bench.pass_time(10 * SECOND)
    heard += await all_of(back)
    assert moves(heard) == notices


async def test_what_was_read_is_remembered_up_to_a_bound(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DOUBLED_MAX", 10)
    place = await place_of(await bench.listen())
    notices = [a_notice() for _ in range(30)]
    await bench.tell(*notices)
    back = await bench.listen(after=place)
    assert moves(await all_of(back)) == notices
    assert len(back._doubled) == 10


async def test_something_missed_that_can_not_be_read_is_a_gap_and_not_the_end(bench: Bench) -> None:
    """The client would come back to it, and to it again."""
    place = await place_of(await bench.listen())
    await bench.tell(a_notice())
    back = await bench.listen(after=place)
    with patch.object(bench.feed, "missed", side_effect=ZeroDivisionError), capture_logs() as lines:
        taken = await all_of(back)
    assert others(taken) == [Gap(Missed.LOST), Ready]
    assert [line["event"] for line in lines] == ["reading what was missed failed; going on from now"]
    after = a_notice()
    await bench.tell(after)
    assert moves(await all_of(back)) == [after]


async def test_a_place_that_was_lost_is_a_gap_up_to_where_there_is_another(bench: Bench) -> None:
    """Who looks at the record then sees all that was told meanwhile; who came meanwhile is told where it begins."""
    listener = await bench.listen()
    await listener.take()
    with patch.object(bench.events, "_reading", side_effect=ZeroDivisionError), capture_logs():
        await bench.tell(a_notice())
    await bench.tell(a_notice())
    assert others(await listener.take()) == [Gap(Missed.LOST)]
    later = await bench.listen()
    await bench.pass_time(SECOND)
    assert others(await listener.take()) == [Gap(Missed.LOST), Ready]
    assert others(await later.take()) == [Gap(Missed.LOST), Ready]


async def test_a_listener_that_ends_while_it_is_renewed_is_a_gap(bench: Bench) -> None:
    listener = await bench.listen()
    await listener.take()
    bench.events.faults.away = True
    await bench.pass_time(LISTENER_SPAN - 6 * SECOND)
    bench.events.faults.away = False
    attend = bench.events.attend

    async def takes_its_time(span: timedelta) -> None:
        await bench.clock.sleep(10 * SECOND)
        await attend(span)

    with patch.object(bench.events, "attend", takes_its_time):
        await bench.pass_time(20 * SECOND)
    assert others(await listener.take()) == [Gap(Missed.UNATTENDED)]
