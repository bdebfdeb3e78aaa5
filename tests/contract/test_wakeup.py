"""Hints. What is awaited here comes by itself; how long it may take is no promise."""

import asyncio

import pytest

from schedora.application.ports.wakeup import Hint
from tests.builders import an_incarnation
from tests.contract.ear import EVERYTHING, PATIENCE_SECONDS, Ear
from tests.contract.stores import Stores


async def test_hint_reaches_every_subscriber(stores: Stores) -> None:
    one, other, owner = Ear(), Ear(), an_incarnation()
    async with stores.wakeup.subscribe(one, EVERYTHING), stores.wakeup.subscribe(other, EVERYTHING):
        stores.wakeup.ring(queues=["a", "Ω'"], owners=[owner])
        wanted = Hint(queues=frozenset({"a", "Ω'"}), owners=frozenset({owner}))
        for ear in (one, other):
            await ear.until(lambda heard: heard == wanted)


async def test_hints_of_one_moment_all_arrive(stores: Stores) -> None:
    ear = Ear()
    names = {f"queue {i}" for i in range(50)}
    async with stores.wakeup.subscribe(ear, EVERYTHING):
        for name in names:
            stores.wakeup.ring(queues=[name])
        await ear.until(lambda heard: heard.queues == names)


async def test_one_subscription_outlives_another(stores: Stores) -> None:
    gone, staying = Ear(), Ear()
    async with stores.wakeup.subscribe(staying, EVERYTHING):
        async with stores.wakeup.subscribe(gone, EVERYTHING):
            pass
        stores.wakeup.ring(queues=["a"])
        await staying.until(lambda heard: "a" in heard.queues)
    assert gone.heard == Hint()


async def test_ringing_with_nobody_there_is_no_error(stores: Stores) -> None:
    stores.wakeup.ring(queues=["a"])
    stores.wakeup.ring()


async def test_ring_from_another_thread_arrives(stores: Stores) -> None:
    ear = Ear()
    async with stores.wakeup.subscribe(ear, EVERYTHING):
        await asyncio.to_thread(stores.wakeup.ring, queues=["a"])
        await ear.until(lambda heard: "a" in heard.queues)


async def test_subscription_finds_out_that_hints_arrive(stores: Stores) -> None:
    ear = Ear()
    async with stores.wakeup.subscribe(ear, EVERYTHING) as subscription, asyncio.timeout(PATIENCE_SECONDS):
        while not subscription.healthy:
            stores.wakeup.ring(queues=["a"])
            await asyncio.sleep(0.01)


async def test_hint_of_a_callers_transaction_leaves_with_its_commit(stores: Stores) -> None:
    ear = Ear()
    async with stores.wakeup.subscribe(ear, EVERYTHING):
        async with stores.callers_transaction() as connection:
            async with stores.units.join(connection) as joined:
                await joined.ring(queues=["a"])
                await joined.ring(queues=[])
            # What was rung later would come later.
            stores.wakeup.ring(queues=["between"])
            await ear.until(lambda heard: "between" in heard.queues)
            assert "a" not in ear.heard.queues
        await ear.until(lambda heard: "a" in heard.queues)


async def test_hint_of_a_callers_transaction_is_gone_with_it(stores: Stores) -> None:
    ear = Ear()

    async def ring_in_vain() -> None:
        async with stores.callers_transaction() as connection, stores.units.join(connection) as joined:
            await joined.ring(queues=["a"])
            raise LookupError("the caller's own")

    async with stores.wakeup.subscribe(ear, EVERYTHING):
        with pytest.raises(LookupError, match="the caller's own"):
            await ring_in_vain()
        stores.wakeup.ring(queues=["after"])
        await ear.until(lambda heard: "after" in heard.queues)
    assert "a" not in ear.heard.queues
