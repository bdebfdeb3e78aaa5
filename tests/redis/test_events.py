"""Events over Redis: what is said of those that Redis forgot, and how they go on while it comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from attrs import frozen

from schedora.adapters.memory.events import MemoryEvents
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.redis import link as link_module
from schedora.adapters.redis.events import BATCHES_KEPT, RedisEvents
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.system.clock import SystemClock
from schedora.adapters.system.randomness import SystemRandomness
from schedora.application import outgoing as outgoing_module
from schedora.application.ports.events import Position, Reading
from schedora.application.ports.metrics import Counter
from schedora.domain.events import Notice
from tests.builders import HOUR
from tests.contract.test_events import a_notice, notices_of
from tests.programs import PATIENCE_SECONDS
from tests.redis.proxy import Behaviour, FaultProxy
from tests.redis.reaching import a_link, impatience, reaching
from tests.redis.servers import RedisServer
from tests.unit.application.bench import RecordedMetrics

AT_ONCE = timedelta(0)
PATIENCE = timedelta(seconds=PATIENCE_SECONDS)


@frozen(kw_only=True)
class Process:
    """One process's way to tell and to read."""

    link: RedisLink
    events: RedisEvents
    metrics: RecordedMetrics

    async def until(self, *, up: bool) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.link.up != up:
                await asyncio.sleep(0.005)


class Processes:
    """Those of one system: ``otherwise`` they share a store."""

    def __init__(self, stack: AsyncExitStack, url: str) -> None:
        clock = SystemClock()
        self.otherwise = MemoryEvents(MemoryStore(clock=clock, randomness=SystemRandomness(clock)))
        self._stack = stack
        self._url = url

    async def start(self, url: str | None = None, *, up: bool = True) -> Process:
        link = a_link(url or self._url)
        await self._stack.enter_async_context(link)
        metrics = RecordedMetrics()
        events = RedisEvents(link, metrics, SystemClock(), otherwise=self.otherwise)
        process = Process(link=link, events=events, metrics=metrics)
        await process.until(up=up)
        await events.attend(HOUR)
        return process


@pytest.fixture
async def processes(redis_server: RedisServer) -> AsyncIterator[Processes]:
    async with AsyncExitStack() as stack:
        yield Processes(stack, redis_server.url)


async def read(process: Process, after: Position, count: int) -> tuple[list[Notice], Position, bool]:
    """So many, in as many readings as that takes; and whether all of these were complete."""
    notices: list[Notice] = []
    complete = True
    while len(notices) < count:
        reading = await process.events.read(after, limit=100, patience=PATIENCE)
        assert reading.told or not reading.complete, "nothing came"
        notices += notices_of(reading)
        complete = complete and reading.complete
        after = reading.position
    return notices, after, complete


async def told(process: Process, after: Position, notices: Sequence[Notice]) -> Position:
    """Behind these, once they have been told and read."""
    process.events.publish(notices)
    found, position, complete = await read(process, after, len(notices))
    assert (found, complete) == (list(notices), True)
    return position


async def test_everything_expires_and_a_reader_keeps_it_alive(processes: Processes) -> None:
    process = await processes.start()
    start = await process.events.now()
    await told(process, start, [a_notice()])
    keys = (process.link.keys.events(), process.link.keys.event_feed())
    for key in keys:
        assert 0 < await process.link.call("PTTL", key) <= 600_000
        await process.link.call("PEXPIRE", key, 5_000)
    await process.events.read(start, limit=1, patience=AT_ONCE)
    for key in keys:
        assert await process.link.call("PTTL", key) > 5_000


async def test_emptied_server_is_a_gap_and_what_comes_then_is_read(
    processes: Processes, redis_server: RedisServer
) -> None:
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice(1), a_notice(2)])
    redis_server.empty()
    process.events.publish([a_notice(3)])
    gap = await process.events.read(at, limit=10, patience=PATIENCE)
    assert (gap.told, gap.complete) == ((), False)
    [notice], after, complete = await read(process, gap.position, 1)
    assert (notice.event.attempt, complete) == (3, True)
    await told(process, after, [a_notice(4)])


async def test_reader_that_waits_learns_that_the_server_was_emptied(
    processes: Processes, redis_server: RedisServer
) -> None:
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice()])
    reading = asyncio.create_task(process.events.read(at, limit=10, patience=PATIENCE))
    await asyncio.sleep(0.05)
    redis_server.empty()
    assert not (await reading).complete


async def test_feed_that_was_evicted_without_its_stream_begins_anew(processes: Processes) -> None:
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice(1), a_notice(2)])
    await process.link.call("DEL", process.link.keys.event_feed())
    gap = await process.events.read(at, limit=10, patience=AT_ONCE)
    assert not gap.complete
    await told(process, gap.position, [a_notice(3)])


async def test_what_was_trimmed_before_it_was_read_is_a_gap(processes: Processes) -> None:
    process = await processes.start()
    start = await process.events.now()
    at = start
    for number in range(4):
        at = await told(process, at, [a_notice(number)])
    await process.link.call("XTRIM", process.link.keys.events(), "MAXLEN", 2)
    notices, position, complete = await read(process, start, 2)
    assert [notice.event.attempt for notice in notices] == [2, 3]
    assert (position, complete) == (at, False)


async def test_what_a_failover_lost_is_a_gap(processes: Processes) -> None:
    """The new master has not heard of what the reader has read."""
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice(1)])
    at = await told(process, at, [a_notice(2)])
    newest = (await process.link.call("XREVRANGE", process.link.keys.events(), "+", "-", "COUNT", 1))[0][0]
    await process.link.call("XDEL", process.link.keys.events(), newest)
    await process.link.call("HINCRBY", process.link.keys.event_feed(), "number", -1)
    process.events.publish([a_notice(3)])
    notices, at, complete = await read(process, at, 1)
    assert ([notice.event.attempt for notice in notices], complete) == ([3], False)
    await told(process, at, [a_notice(4)])


async def test_stream_is_bounded(processes: Processes) -> None:
    process = await processes.start()
    script_keys = (process.link.keys.events(), process.link.keys.event_feed())
    for _ in range(3):
        for _ in range(BATCHES_KEPT):
            await process.link.call(
                "XADD",
                script_keys[0],
                "*",
                "epoch",
                "e",
                "number",
                0,
                "amount",
                0,
                "lost",
                0,
                "notices",
                "[]",
            )
        process.events.publish([a_notice()])
        await read(process, await process.events.now(), 0)
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while await process.link.call("XLEN", script_keys[0]) > BATCHES_KEPT * 1.2:
                await asyncio.sleep(0.01)


async def test_while_redis_is_away_it_goes_on_otherwise(
    processes: Processes, redis_server: RedisServer
) -> None:
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice(1)])
    redis_server.kill()
    await process.events.now()  # is not answered, which is noticed
    await process.until(up=False)
    at = await told(process, at, [a_notice(2), a_notice(3)])
    redis_server.start()
    await process.until(up=True)
    process.events.publish([a_notice(4)])
    notices, at, complete = await read(process, at, 1)
    assert [notice.event.attempt for notice in notices] == [4]
    assert not complete, "it came back empty: nobody knows what others told it"
    await told(process, at, [a_notice(5)])


async def test_reader_that_waits_while_redis_goes_hears_what_is_told_otherwise(
    processes: Processes, redis_server: RedisServer
) -> None:
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice(1)])
    reading = asyncio.create_task(process.events.read(at, limit=10, patience=PATIENCE))
    await asyncio.sleep(0.05)
    redis_server.kill()
    await process.until(up=False)
    notice = a_notice(2)
    process.events.publish([notice])
    assert notices_of(await reading) == [notice]


async def test_frozen_server_that_comes_back_with_what_it_had_goes_on(
    processes: Processes, redis_server: RedisServer
) -> None:
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice(1)])
    redis_server.freeze()
    with impatience(process.link):
        await process.events.now()  # is not answered, which is noticed
        await process.until(up=False)
    redis_server.thaw()
    await process.until(up=True)
    await told(process, at, [a_notice(2)])


async def test_reader_that_came_while_redis_was_away_is_told_of_a_gap_once_it_is_back(
    processes: Processes, redis_server: RedisServer
) -> None:
    redis_server.kill()
    process = await processes.start(up=False)
    at = await told(process, await process.events.now(), [a_notice(1)])
    redis_server.start()
    await process.until(up=True)
    gap: Reading = await process.events.read(at, limit=10, patience=PATIENCE)
    assert (gap.told, gap.complete) == ((), False)
    await told(process, gap.position, [a_notice(2)])


async def test_publisher_that_cant_reach_redis_is_heard_by_a_reader_that_can(
    processes: Processes, redis_server: RedisServer
) -> None:
    with FaultProxy(redis_server) as proxy:
        proxy.behave(Behaviour.REFUSE)
        reader = await processes.start()
        publisher = await processes.start(proxy.url, up=False)
        at = await told(reader, await reader.events.now(), [a_notice(1)])
        notice = a_notice(2)
        publisher.events.publish([notice])
        assert (await read(reader, at, 1))[0] == [notice]


async def test_what_nobody_knows_to_have_arrived_is_a_gap_and_not_told_twice(
    processes: Processes, redis_server: RedisServer
) -> None:
    with FaultProxy(redis_server) as proxy:
        reader = await processes.start()
        publisher = await processes.start(proxy.url)
        at = await told(reader, await reader.events.now(), [a_notice(1)])
        proxy.behave(Behaviour.BLACK_HOLE)
        with impatience(publisher.link):
            publisher.events.publish([a_notice(2)])
            gap = await reader.events.read(at, limit=10, patience=PATIENCE)
        assert not gap.complete
        assert publisher.metrics.counted[Counter.EVENTS_DROPPED, ""] == 1
        notice = a_notice(3)
        publisher.events.publish([notice])
        assert (await read(reader, gap.position, 1))[0] == [notice]


async def test_two_publishers_lose_nothing_between_two_positions(processes: Processes) -> None:
    publishers = [await processes.start() for _ in range(2)]
    reader = await processes.start()
    start = await reader.events.now()
    notices = [[a_notice(number) for number in range(place, 2_000, 2)] for place in range(2)]

    async def tell(process: Process, own: Sequence[Notice]) -> None:
        for place in range(0, len(own), 7):
            process.events.publish(own[place : place + 7])
            await asyncio.sleep(0)

    telling = [
        asyncio.create_task(tell(process, own)) for process, own in zip(publishers, notices, strict=True)
    ]
    found, _, complete = await read(reader, start, 2_000)
    await asyncio.gather(*telling)
    assert complete
    for own in notices:
        assert [notice for notice in found if notice in own] == own


async def test_what_is_left_is_told_before_the_end(
    processes: Processes, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing_module, "_LAST_SECONDS", 30)  # a machine that is busy with tests is slow
    monkeypatch.setattr(link_module, "_CLOSE_SECONDS", 30)
    reader = await processes.start()
    start = await reader.events.now()
    async with reaching(redis_server.url) as link:
        events = RedisEvents(link, RecordedMetrics(), SystemClock(), otherwise=processes.otherwise)
        notices = [a_notice(number) for number in range(1_500)]
        events.publish(notices)
    found, _, complete = await read(reader, start, len(notices))
    assert (found, complete) == (notices, True)


class Counted(MemoryEvents):
    """Counts how often it is read."""

    readings = 0

    async def read(self, after: Position, *, limit: int, patience: timedelta) -> Reading:
        self.readings += 1
        return await super().read(after, limit=limit, patience=patience)


@pytest.fixture
def counted(processes: Processes) -> Counted:
    clock = SystemClock()
    counted = Counted(MemoryStore(clock=clock, randomness=SystemRandomness(clock)))
    processes.otherwise = counted
    return counted


async def test_what_is_told_over_redis_asks_nothing_else(processes: Processes, counted: Counted) -> None:
    process = await processes.start()
    at = await process.events.now()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(50):
        at = await told(process, at, [a_notice(number)])
    assert counted.readings <= 2 + (loop.time() - began), "once a second"


async def test_key_of_another_kind_is_waited_for_in_peace(processes: Processes, counted: Counted) -> None:
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice(1)])
    await process.link.call("SET", process.link.keys.events(), "none of ours")
    before = counted.readings
    await process.events.read(at, limit=10, patience=timedelta(seconds=1))
    assert counted.readings - before < 20
    notice = a_notice(2)
    process.events.publish([notice])
    assert (await read(process, at, 1))[0] == [notice]


async def test_however_much_there_is_of_before_it_is_passed_over_at_once(processes: Processes) -> None:
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice(number) for number in range(600)])
    await process.link.call("DEL", process.link.keys.event_feed())
    gap = await process.events.read(at, limit=10, patience=AT_ONCE)
    notice = a_notice()
    process.events.publish([notice])
    reading = await process.events.read(gap.position, limit=10, patience=PATIENCE)
    assert (notices_of(reading), reading.complete) == ([notice], True)


async def test_what_a_failover_lost_is_a_gap_though_the_new_clock_is_behind(processes: Processes) -> None:
    """As many were told as before, in front of where the reader is."""
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice(1)])
    at = await told(process, at, [a_notice(2)])
    stream = process.link.keys.events()
    kept, lost = await process.link.call("XRANGE", stream, "-", "+")
    await process.link.call("DEL", stream)
    await process.link.call("XADD", stream, kept[0], *kept[1])
    await process.link.call("XADD", stream, kept[0] + b"1", *lost[1])
    gap = await process.events.read(at, limit=10, patience=AT_ONCE)
    assert not gap.complete
    await told(process, gap.position, [a_notice(3)])


async def test_place_far_behind_the_beginning_of_a_batch_is_none(processes: Processes) -> None:
    """It would be read over, in one go."""
    process = await processes.start()
    at = await told(process, await process.events.now(), [a_notice()])
    beyond = Position(at.replace(".0|", ".999999|"))
    assert beyond != at
    reading = await process.events.read(beyond, limit=10, patience=AT_ONCE)
    assert (reading.told, reading.position, reading.complete) == ((), at, False)


async def test_what_can_not_be_read_while_redis_is_away_is_said_to_be_out_of_reach(
    processes: Processes, redis_server: RedisServer
) -> None:
    process = await processes.start()
    start = await process.events.now()
    await told(process, start, [a_notice()])
    assert not (await process.events.read(start, limit=10, patience=AT_ONCE)).out_of_reach
    redis_server.freeze()
    with impatience(process.link):
        await process.events.now()
        await process.until(up=False)
    reading = await process.events.read(start, limit=10, patience=AT_ONCE)
    assert (reading.told, reading.complete, reading.out_of_reach) == ((), True, True)
    redis_server.thaw()
    await process.until(up=True)
    assert len((await read(process, reading.position, 1))[0]) == 1
