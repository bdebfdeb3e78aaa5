"""Look on as records change."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import ExitStack
from operator import attrgetter

import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.events import MemoryEvents
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.errors import StoreUnavailable
from schedora.application.queries import watch as module
from schedora.application.queries.event_feed import EventFeed
from schedora.application.queries.watch import LOOK_EVERY, PACE, Watch, Watched
from schedora.domain.ids import JobId
from tests.builders import SECOND, a_job_id
from tests.unit.application.queries.test_event_feed import a_notice, settle


class Bench:
    """Records are numbers."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore(clock=self.clock, randomness=SeededRandomness(1, self.clock))
        self.events = MemoryEvents(self.store)
        self.feed = EventFeed(self.events, self.clock, lambda: 1.0)
        self.records: dict[JobId, int] = {}
        self.questions: list[set[JobId]] = []
        self.away = False
        self.watch: Watch[JobId, int] = Watch(
            self.look, attrgetter("job_id"), feed=self.feed, clock=self.clock, unit_random=lambda: 1.0
        )
        self.watching = ExitStack()

    async def look(self, job_ids: Collection[JobId]) -> Mapping[JobId, int]:
        if self.away:
            raise StoreUnavailable("away")
        self.questions.append(set(job_ids))
        return {job_id: self.records[job_id] for job_id in job_ids if job_id in self.records}

    def new(self, value: int = 0) -> JobId:
        job_id = a_job_id()
        self.records[job_id] = value
        return job_id

    async def begin(self, job_id: JobId, wake: asyncio.Event | None = None) -> Watched[int]:
        watched = self.watching.enter_context(
            self.watch.watch(job_id, self.records[job_id], wake or asyncio.Event())
        )
        await settle()
        return watched

    async def tell(self, job_id: JobId) -> None:
        self.events.publish([a_notice(job_id=job_id)])
        await settle()

    async def pass_time(self, steps: int) -> None:
        for _ in range(steps):
            assert self.clock.advance_to_next_wait()
            await settle()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.watching.close()
    await bench.watch.close()
    await bench.feed.close()
    assert bench.clock.sleepers == 0, "nobody watches, nobody looks"


async def test_what_changed_before_the_first_look_is_seen_soon(bench: Bench) -> None:
    job_id = bench.new()
    wake = asyncio.Event()
    watching = bench.watch.watch(job_id, 0, wake)
    bench.records[job_id] = 1
    watched = bench.watching.enter_context(watching)
    await settle()
    assert wake.is_set()
    assert watched.take() == (True, 1)
    assert watched.take() == (False, 1)


async def test_what_is_told_of_is_looked_at_soon(bench: Bench) -> None:
    told, other = bench.new(), bench.new()
    watched, _ = await bench.begin(told), await bench.begin(other)
    await bench.pass_time(2)
    bench.questions.clear()
    bench.records[told] = 7
    await bench.tell(told)
    await bench.pass_time(1)
    assert bench.questions == [{told}]
    assert watched.take() == (True, 7)


async def test_what_nobody_told_of_is_found_by_the_look_at_all(bench: Bench) -> None:
    jobs = [bench.new() for _ in range(3)]
    watched = [await bench.begin(job_id) for job_id in jobs]
    await bench.pass_time(2)
    bench.questions.clear()
    bench.records[jobs[1]] = 5
    before = bench.clock.monotonic()
    while not bench.questions:
        await bench.pass_time(1)
    assert bench.clock.monotonic() - before <= LOOK_EVERY
    assert bench.questions == [set(jobs)]
    assert [one.take() for one in watched] == [(False, 0), (True, 5), (False, 0)]


async def test_many_are_looked_at_in_one_question_and_too_many_in_several(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDS_PER_QUESTION", 2)
    jobs = [bench.new() for _ in range(5)]
    with ExitStack() as watching:
        for job_id in jobs:
            watching.enter_context(bench.watch.watch(job_id, 0, asyncio.Event()))
        await settle()
        assert [len(question) for question in bench.questions] == [2, 2, 1]


async def test_two_of_one_record_share_the_look_and_both_see(bench: Bench) -> None:
    job_id = bench.new()
    both = [await bench.begin(job_id), await bench.begin(job_id)]
    await bench.pass_time(2)
    bench.questions.clear()
    bench.records[job_id] = 1
    await bench.tell(job_id)
    await bench.pass_time(1)
    assert bench.questions == [{job_id}]
    assert [one.take() for one in both] == [(True, 1), (True, 1)]


async def test_much_that_is_told_makes_few_looks(bench: Bench) -> None:
    job_id = bench.new()
    await bench.begin(job_id)
    bench.questions.clear()
    for _ in range(100):
        await bench.tell(job_id)
    before = bench.clock.monotonic()
    await bench.pass_time(1)
    assert bench.questions == [{job_id}]
    assert bench.clock.monotonic() - before == PACE


async def test_one_that_is_gone_is_seen_as_none(bench: Bench) -> None:
    job_id = bench.new()
    watched = await bench.begin(job_id)
    del bench.records[job_id]
    await bench.tell(job_id)
    await bench.pass_time(1)
    assert watched.take() == (True, None)


async def test_what_nobody_watches_is_not_looked_at(bench: Bench) -> None:
    await bench.begin(bench.new())
    await bench.pass_time(1)
    bench.questions.clear()
    await bench.tell(a_job_id())
    assert bench.questions == []


async def test_it_goes_on_when_the_store_comes_back(bench: Bench) -> None:
    job_id = bench.new()
    watched = await bench.begin(job_id)
    await bench.pass_time(1)
    bench.away = True
    bench.records[job_id] = 3
    await bench.tell(job_id)
    await bench.pass_time(5)
    assert watched.take() == (False, 0)
    bench.away = False
    while not (seen := watched.take())[0]:
        await bench.pass_time(1)
    assert seen == (True, 3)


async def test_a_look_that_fails_is_told_of_and_tried_again(bench: Bench) -> None:
    job_id = bench.new()
    watched = await bench.begin(job_id)
    await bench.pass_time(1)
    bench.records[job_id] = 3
    look = bench.watch._look
    bench.watch._look = failing_look
    with capture_logs() as lines:
        await bench.tell(job_id)
        await bench.pass_time(1)
    assert "looking at what is watched failed; trying again" in [line["event"] for line in lines]
    bench.watch._look = look
    while not (seen := watched.take())[0]:
        await bench.pass_time(1)
    assert seen == (True, 3)


async def failing_look(_: Collection[JobId]) -> Mapping[JobId, int]:
    raise ZeroDivisionError


async def test_the_last_who_leaves_ends_the_looking_and_the_reader(bench: Bench) -> None:
    await bench.begin(bench.new())
    bench.watching.close()
    await settle()
    assert (bench.clock.sleepers, bench.feed.newest) == (0, None)
    bench.clock.advance(10 * SECOND)
    bench.questions.clear()
    await bench.begin(bench.new())
    assert len(bench.questions) == 1
