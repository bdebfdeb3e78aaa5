"""Hints within one process."""

import asyncio
import threading

from schedora.adapters.memory.wakeup import MemoryWakeup
from schedora.application.ports.wakeup import Hint
from tests.builders import an_incarnation
from tests.contract.listener import EVERYTHING
from tests.contract.memory import a_memory_store


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_hints_of_one_turn_arrive_as_one() -> None:
    wakeup = MemoryWakeup(a_memory_store())
    owner = an_incarnation()
    hints: list[Hint] = []
    async with wakeup.subscribe(hints.append, EVERYTHING) as subscription:
        wakeup.notify(queues=["a"])
        wakeup.notify(queues=["b"], owners=[owner])
        assert hints == [], "never before the ringer goes on"
        await settle()
        assert hints == [Hint(queues=frozenset({"a", "b"}), owners=frozenset({owner}))]
        wakeup.notify(queues=["a"])
        await settle()
        assert len(hints) == 2
        assert subscription.healthy


async def test_nothing_to_tell_is_not_told() -> None:
    wakeup = MemoryWakeup(a_memory_store())
    hints: list[Hint] = []
    async with wakeup.subscribe(hints.append, EVERYTHING):
        wakeup.notify()
        await settle()
    assert hints == []


async def test_lost_hints_arrive_nowhere_and_the_subscription_says_so() -> None:
    store = a_memory_store()
    wakeup = MemoryWakeup(store)
    hints: list[Hint] = []
    store.faults.hints_lost = True
    async with wakeup.subscribe(hints.append, EVERYTHING) as subscription:
        wakeup.notify(queues=["a"])
        await settle()
        assert not subscription.healthy
    assert hints == []


async def test_hint_under_way_does_not_arrive_after_the_end() -> None:
    wakeup = MemoryWakeup(a_memory_store())
    hints: list[Hint] = []
    async with wakeup.subscribe(hints.append, EVERYTHING):
        wakeup.notify(queues=["a"])
    await settle()
    wakeup.notify(queues=["a"])
    await settle()
    assert hints == []


def test_loop_that_was_closed_is_passed_over() -> None:
    wakeup = MemoryWakeup(a_memory_store())
    hints: list[Hint] = []

    async def enter() -> None:
        await wakeup.subscribe(hints.append, EVERYTHING).__aenter__()

    asyncio.run(enter())
    wakeup.notify(queues=["a"])
    assert hints == []


async def test_hint_from_another_thread_arrives_on_the_loop_of_the_subscriber() -> None:
    wakeup = MemoryWakeup(a_memory_store())
    arrived = asyncio.Event()
    threads: list[int] = []

    def note(_hint: Hint) -> None:
        threads.append(threading.get_ident())
        arrived.set()

    async with wakeup.subscribe(note, EVERYTHING):
        await asyncio.to_thread(wakeup.notify, queues=["a"])
        async with asyncio.timeout(30):
            await arrived.wait()
    assert threads == [threading.get_ident()]
