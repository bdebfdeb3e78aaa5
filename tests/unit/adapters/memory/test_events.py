"""Events within one process."""

import asyncio
from datetime import timedelta

from schedora.adapters.memory.events import KEPT_MAX, MemoryEvents
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from tests.builders import HOUR, SECOND
from tests.contract.test_events import a_notice, notices_of

AT_ONCE = timedelta(0)


def events_at(clock: VirtualClock, seed: int = 1) -> MemoryEvents:
    return MemoryEvents(MemoryStore(clock=clock, randomness=SeededRandomness(seed, clock)))


async def test_audience_comes_to_its_end() -> None:
    clock = VirtualClock()
    events = events_at(clock)
    assert not events.wanted
    await events.attend(3 * SECOND)
    await events.attend(SECOND)
    clock.advance(2 * SECOND)
    start = await events.now()
    events.publish([a_notice()])
    assert await events.now() != start, "a shorter one does not end a longer one"
    clock.advance(SECOND)
    start = await events.now()
    events.publish([a_notice()])
    assert await events.now() == start


async def test_reader_waits_as_long_as_it_has_patience() -> None:
    clock = VirtualClock()
    events = events_at(clock)
    reading = asyncio.create_task(events.read(await events.now(), limit=1, patience=HOUR))
    await asyncio.sleep(0)
    clock.advance(HOUR - SECOND)
    await asyncio.sleep(0)
    assert not reading.done()
    clock.advance(SECOND)
    assert (await reading).told == ()


async def test_readers_on_any_event_loop_are_told() -> None:
    clock = VirtualClock()
    events = events_at(clock)
    await events.attend(HOUR)
    start = await events.now()
    notice = a_notice()

    def read_elsewhere() -> list[object]:
        return list(notices_of(asyncio.run(events.read(start, limit=1, patience=HOUR))))

    reading = asyncio.create_task(asyncio.to_thread(read_elsewhere))
    while not clock.sleepers:
        await asyncio.sleep(0.001)
    events.publish([notice])
    assert await reading == [notice]


async def test_only_so_much_is_kept() -> None:
    events = events_at(VirtualClock())
    await events.attend(HOUR)
    start = await events.now()
    notices = [a_notice(number) for number in range(KEPT_MAX + 1)]
    events.publish(notices[:-1])
    assert (await events.read(start, limit=1, patience=AT_ONCE)).complete
    events.publish(notices[-1:])
    reading = await events.read(start, limit=1, patience=AT_ONCE)
    assert (notices_of(reading), reading.complete) == (notices[1:2], False)


async def test_position_of_another_store_is_none_here() -> None:
    clock = VirtualClock()
    one, other = events_at(clock, seed=1), events_at(clock, seed=2)
    for events in (one, other):
        await events.attend(HOUR)
        events.publish([a_notice()])
    assert not (await other.read(await one.now(), limit=1, patience=HOUR)).complete
