"""Wait for jobs to end."""

import asyncio
import gc
from collections.abc import Collection
from datetime import timedelta

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.errors import StoreUnavailable
from schedora.application.queries import endings as module
from schedora.application.queries.endings import FIRST_PAUSE, GROWTH, LONGEST_PAUSE, Endings
from schedora.domain.ids import JobId
from tests.builders import HOUR, SECOND, a_job_id


class Reader:
    """Knows which jobs have ended, and counts the questions."""

    def __init__(self) -> None:
        self.over: set[JobId] = set()
        self.away = False
        self.failures = 0
        """So many questions fail."""
        self.answers = asyncio.Event()
        """Unset, questions hang."""
        self.answers.set()
        self.questions: list[set[JobId]] = []

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"nobody asks for {name} here")

    async def ended(self, job_ids: Collection[JobId]) -> set[JobId]:
        await self.answers.wait()
        if self.away or self.failures:
            self.failures = max(0, self.failures - 1)
            raise StoreUnavailable("away")
        self.questions.append(set(job_ids))
        return self.over & set(job_ids)


class Waiting:
    def __init__(self) -> None:
        self.reader = Reader()
        self.clock = VirtualClock()
        self.endings = Endings(self.reader, self.clock)  # type: ignore[arg-type]  # it asks for one answer only

    async def begin(self, job_id: JobId, at_most: timedelta = HOUR) -> "asyncio.Task[bool]":
        task = asyncio.create_task(self.endings.wait(job_id, at_most))
        await self.settle()
        return task

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def ask_again(self) -> None:
        """Moves on to the next question, or the end of somebody's patience."""
        assert self.clock.advance_to_next_wait()
        await self.settle()


@pytest.fixture
async def waiting() -> Waiting:
    return Waiting()


async def test_ended_job_is_not_waited_for(waiting: Waiting) -> None:
    job_id = a_job_id()
    waiting.reader.over.add(job_id)
    assert await waiting.endings.wait(job_id, HOUR)
    assert waiting.clock.sleepers == 0


@pytest.mark.parametrize("at_most", [timedelta(0), -SECOND])
async def test_no_patience_is_one_look(waiting: Waiting, at_most: timedelta) -> None:
    assert not await waiting.endings.wait(a_job_id(), at_most)
    assert len(waiting.reader.questions) == 1


async def test_waiter_learns_of_the_end(waiting: Waiting) -> None:
    job_id = a_job_id()
    task = await waiting.begin(job_id)
    await waiting.ask_again()
    assert not task.done()
    waiting.reader.over.add(job_id)
    await waiting.ask_again()
    assert await task
    await waiting.ask_again()
    assert waiting.clock.sleepers == 0, "nobody waits, nobody asks"


async def test_patience_ends(waiting: Waiting) -> None:
    task = await waiting.begin(a_job_id(), 1.5 * FIRST_PAUSE)
    await waiting.ask_again()
    assert not task.done()
    await waiting.ask_again()
    assert not await task


async def test_all_waiters_share_one_question(waiting: Waiting) -> None:
    one, two = a_job_id(), a_job_id()
    tasks = [await waiting.begin(job_id) for job_id in (one, one, two)]
    waiting.reader.questions.clear()
    waiting.reader.over.add(one)
    await waiting.ask_again()
    assert waiting.reader.questions == [{one, two}]
    assert [task.done() for task in tasks] == [True, True, False]
    waiting.reader.over.add(two)
    await waiting.ask_again()
    assert all(await asyncio.gather(*tasks))
    assert waiting.reader.questions == [{one, two}, {two}]


async def test_many_jobs_are_asked_for_in_several_questions(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDS_PER_QUESTION", 2)
    ids = [a_job_id() for _ in range(5)]
    tasks = [await waiting.begin(job_id) for job_id in ids]
    waiting.reader.questions.clear()
    waiting.reader.over.update(ids)
    await waiting.ask_again()
    assert [len(question) for question in waiting.reader.questions] == [2, 2, 1]
    assert all(await asyncio.gather(*tasks))


async def test_pauses_grow_and_a_new_waiter_makes_them_short_again(waiting: Waiting) -> None:
    first = await waiting.begin(a_job_id())
    pauses = []
    for _ in range(12):
        before = waiting.clock.monotonic()
        await waiting.ask_again()
        pauses.append(waiting.clock.monotonic() - before)
    assert pauses[0] == FIRST_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    second = await waiting.begin(a_job_id())
    await waiting.ask_again()  # the pause that was under way
    before = waiting.clock.monotonic()
    await waiting.ask_again()
    assert waiting.clock.monotonic() - before == FIRST_PAUSE * GROWTH
    assert not first.done()
    assert not second.done()
    await waiting.endings.close()


async def test_waiters_learn_that_the_store_is_away_and_may_try_again(waiting: Waiting) -> None:
    job_id = a_job_id()
    tasks = [await waiting.begin(job_id) for _ in range(2)]
    waiting.reader.away = True
    await waiting.ask_again()
    for task in tasks:
        with pytest.raises(StoreUnavailable):
            await task
    with pytest.raises(StoreUnavailable):
        await waiting.endings.wait(job_id, HOUR)
    waiting.reader.away = False
    again = await waiting.begin(job_id)
    waiting.reader.over.add(job_id)
    await waiting.ask_again()
    assert await again


async def test_waiter_learns_of_a_failure_though_another_asks_again_at_that_moment(waiting: Waiting) -> None:
    first = await waiting.begin(a_job_id())
    waiting.reader.answers.clear()
    await waiting.ask_again()
    second = await waiting.begin(a_job_id())
    waiting.reader.failures = 1
    waiting.reader.answers.set()
    await waiting.settle()
    with pytest.raises(StoreUnavailable):
        await first
    assert not second.done()
    second.cancel()
    await waiting.endings.close()


async def test_nobody_learns_that_the_store_is_away_when_the_last_has_left(waiting: Waiting) -> None:
    uncaught: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: uncaught.append(context))
    task = await waiting.begin(a_job_id())
    waiting.reader.answers.clear()
    await waiting.ask_again()
    task.cancel()
    await waiting.settle()
    waiting.reader.away = True
    waiting.reader.answers.set()
    await waiting.settle()
    del task, waiting.endings  # and with them the last that knew of the question
    gc.collect()
    assert uncaught == []


async def test_waiter_that_is_canceled_is_forgotten(waiting: Waiting) -> None:
    stays, goes = a_job_id(), a_job_id()
    first, second = await waiting.begin(stays), await waiting.begin(goes)
    second.cancel()
    await waiting.settle()
    waiting.reader.questions.clear()
    await waiting.ask_again()
    assert waiting.reader.questions == [{stays}]
    await waiting.endings.close()
    first.cancel()


async def test_close_ends_the_questions(waiting: Waiting) -> None:
    await waiting.endings.close()
    task = await waiting.begin(a_job_id())
    await waiting.endings.close()
    assert waiting.clock.sleepers == 1, "the waiter's own patience"
    await waiting.ask_again()
    assert not await task
