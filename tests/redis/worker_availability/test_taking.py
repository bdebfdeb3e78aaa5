"""Availability of idle workers: who gets one, which are held in advance, and for how long anyone waits for one."""

import asyncio
import logging
from typing import Any

import pytest

from schedora.adapters.redis import link as link_module
from schedora.adapters.redis import worker_availability as availability_module
from schedora.adapters.redis.worker_availability import RedisWorkerAvailability
from tests.builders import an_incarnation
from tests.programs import PATIENCE_SECONDS
from tests.redis.available_workers import (
    LONG_SECONDS,
    MAKE,
    TAKE,
    NotedLink,
    Passing,
    a_noted_link,
    an_offerer,
)
from tests.redis.proxy import Behaviour, FaultProxy
from tests.redis.reaching import until_up
from tests.redis.servers import RedisServer


async def test_one_held_is_given_without_asking_where_they_come_often(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as idle:
        availability = RedisWorkerAvailability(link)
        monkeypatch.setattr(availability_module, "_AFTER_SECONDS", 0)
        for _ in range(2):
            assert await availability.take(queue="mail", job_type="send") is not None
        await link.until_answered(TAKE, 3)
        monkeypatch.setattr(availability_module, "_AFTER_SECONDS", LONG_SECONDS)
        redis_server.freeze()
        available = await availability.take(queue="mail", job_type="send")
        redis_server.thaw()
        assert available is not None
        assert available.owner == owner
        assert link.asked.count(TAKE) == 3
        assert await idle.left() == 5


async def test_none_is_taken_in_advance_where_they_come_rarely(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_AFTER_SECONDS", 0)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as idle:
        availability = RedisWorkerAvailability(link)
        for _ in range(3):
            assert await availability.take(queue="mail", job_type="send") is not None
            assert (
                await availability.take(queue="mail", job_type="unknown") is None
            )  # after what would have been due
            passing.let(availability_module._HOLD_SECONDS)
        assert await idle.left() == 5


async def test_one_held_for_too_long_is_not_used(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_AFTER_SECONDS", 0)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as idle:
        availability = RedisWorkerAvailability(link)
        for _ in range(2):
            assert await availability.take(queue="mail", job_type="send") is not None
        await link.until_answered(TAKE, 3)
        passing.let(availability_module._HOLD_SECONDS)
        await idle.publisher.withdraw()
        assert await availability.take(queue="mail", job_type="send") is None


async def test_no_more_than_one_is_held_however_often_they_come(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_HOLD_SECONDS", LONG_SECONDS)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as idle:
        availability = RedisWorkerAvailability(link)
        for times in (0, 1, 2):  # after each but the first the next is asked for, ever later
            monkeypatch.setattr(availability_module, "_AFTER_SECONDS", 60 * times)
            assert await availability.take(queue="mail", job_type="send") is not None
        passing.let(60)
        await link.until_answered(TAKE, 4)
        passing.let(60)
        for _ in range(3):  # rounds of the event loop, in which it would be asked for
            await asyncio.sleep(0)
        assert link.asked.count(TAKE) == 4
        assert await idle.left() == 4


async def test_after_an_empty_answer_nobody_is_asked_for_a_while(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_PAUSE_SECONDS", LONG_SECONDS)
    availability, owner = RedisWorkerAvailability(link), an_incarnation()
    assert await availability.take(queue="mail", job_type="send") is None
    async with an_offerer(redis_server.url, owner=owner, room=16):
        for _ in range(3):
            assert await availability.take(queue="mail", job_type="send") is None
        assert link.asked == [TAKE]
        assert await availability.take(queue="bills", job_type="send") is not None, (
            "of these nothing was known"
        )
        passing.let(LONG_SECONDS)
        available = await availability.take(queue="mail", job_type="send")
        assert available is not None
        assert available.owner == owner


async def test_those_at_one_moment_ask_once(redis_server: RedisServer, link: NotedLink) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as idle:
        availability = RedisWorkerAvailability(link)
        given = await asyncio.gather(*(availability.take(queue="mail", job_type="send") for _ in range(5)))
        assert [offer is not None for offer in given] == [True] + [False] * 4
        assert link.asked == [TAKE]
        assert await idle.left() == 7


async def test_kinds_of_jobs_are_remembered_up_to_a_bound(
    link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_KINDS_MAX", 4)
    monkeypatch.setattr(availability_module, "_PAUSE_SECONDS", LONG_SECONDS)
    availability = RedisWorkerAvailability(link)
    for n in range(10):
        await availability.take(queue="first", job_type="send")
        await availability.take(queue=f"queue-{n}", job_type="send")
    assert [queue for queue, _ in availability._kinds] == ["queue-7", "queue-8", "first", "queue-9"]
    assert link.asked.count(TAKE) == 11, "what comes often is not forgotten"


async def test_none_while_redis_is_away(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16):
        availability = RedisWorkerAvailability(link)
        redis_server.kill()
        assert await availability.take(queue="mail", job_type="send") is None
        assert not link.up
        asked = len(link.asked)
        assert await availability.take(queue="bills", job_type="send") is None
        assert len(link.asked) == asked


async def test_one_that_was_held_when_redis_went_away_is_not_used(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_AFTER_SECONDS", 0)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16):
        availability = RedisWorkerAvailability(link)
        for _ in range(2):
            assert await availability.take(queue="mail", job_type="send") is not None
        await link.until_answered(TAKE, 3)
        redis_server.kill()
        await availability.take(queue="bills", job_type="send")  # which notices it
        assert await availability.take(queue="mail", job_type="send") is None


async def test_none_on_another_event_loop(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16):
        availability = RedisWorkerAvailability(link)

        def elsewhere() -> Any:
            return asyncio.run(availability.take(queue="mail", job_type="send"))

        assert await asyncio.to_thread(elsewhere) is None
        assert link.asked == []
        assert await availability.take(queue="mail", job_type="send") is not None


async def test_silent_server_is_waited_for_once_and_not_for_longer_than_it_is_worth(
    redis_server: RedisServer, proxy: FaultProxy, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_REPEAT_SECONDS", 2 * LONG_SECONDS)  # patience ends before
    monkeypatch.setattr(availability_module, "_PATIENCE_SECONDS", LONG_SECONDS)
    owner = an_incarnation()
    async with (
        an_offerer(redis_server.url, owner=owner, room=16) as idle,
        a_noted_link(proxy.url) as link,
    ):
        availability = RedisWorkerAvailability(link)
        proxy.behave(Behaviour.STALL)
        waiting = [asyncio.create_task(availability.take(queue="mail", job_type="send")) for _ in range(3)]
        await link.until_asked(TAKE, 1)
        assert not any(task.done() for task in waiting)
        passing.let(LONG_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await asyncio.gather(*waiting) == [None] * 3
            assert await availability.take(queue="mail", job_type="send") is None, (
                "at once: it would have waited"
            )
        assert (link.asked, link.up) == ([TAKE], True)
        proxy.behave(Behaviour.PASS)
        await link.until_answered(TAKE, 1)
        available = await availability.take(queue="mail", job_type="send")
        assert available is not None
        assert available.owner == owner, "what came late is not lost"
        assert link.asked == [TAKE]
        assert idle.link.asked == [MAKE], "offers are not made again because time was made to pass"
        assert await idle.left() == 7


@pytest.mark.parametrize("frozen", [False, True])
async def test_closing_leaves_no_question_behind(
    redis_server: RedisServer,
    frozen: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(availability_module, "_AFTER_SECONDS", 0.01)
    monkeypatch.setattr(link_module, "_CLOSE_SECONDS", 0.2 if frozen else PATIENCE_SECONDS)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16):
        before = asyncio.all_tasks()
        link = NotedLink(redis_server.url)
        await link.open()
        await until_up(link)
        availability = RedisWorkerAvailability(link)
        for _ in range(2):  # the next one is to be asked for in a moment
            assert await availability.take(queue="mail", job_type="send") is not None
        if frozen:
            redis_server.freeze()
        asking = asyncio.create_task(availability.take(queue="bills", job_type="send"))
        await link.until_asked(TAKE, 3)
        await link.close()
        if frozen:
            redis_server.thaw()
        assert (await asking is None) is frozen, "what was under way came to its end, if it could"
        asked = len(link.asked)
        for _ in range(3):
            await asyncio.sleep(availability_module._AFTER_SECONDS)
        assert asyncio.all_tasks() == before
        assert len(link.asked) == asked, "of who is closed nothing is asked"
        assert await availability.take(queue="bills", job_type="send") is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_who_stops_waiting_leaves_it_to_the_next(redis_server: RedisServer, proxy: FaultProxy) -> None:
    async with (
        an_offerer(redis_server.url, owner=an_incarnation(), room=16) as idle,
        a_noted_link(proxy.url) as link,
    ):
        availability = RedisWorkerAvailability(link)
        proxy.behave(Behaviour.STALL)
        waiting = asyncio.create_task(availability.take(queue="mail", job_type="send"))
        await link.until_asked(TAKE, 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        proxy.behave(Behaviour.PASS)
        assert await availability.take(queue="mail", job_type="send") is not None
        assert link.asked == [TAKE]
        assert await idle.left() == 7
