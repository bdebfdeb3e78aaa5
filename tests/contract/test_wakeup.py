"""Hints. What is awaited here comes by itself; how long it may take is no promise."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from schedora.application.ports.wakeup import Hint, Subscription, SubscriptionFilter
from tests.builders import an_incarnation
from tests.contract.listener import EVERYTHING, PATIENCE_SECONDS, Listener
from tests.contract.stores import Stores


async def hints_arrive(*subscriptions: Subscription) -> None:
    """Once they are known to."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not all(subscription.healthy for subscription in subscriptions):
            await asyncio.sleep(0.005)  # nothing else tells


async def test_hint_of_jobs_reaches_those_who_look_for_them_and_would_claim(stores: Stores) -> None:
    mail, bills, all_queues = Listener(), Listener(), Listener()
    async with (
        stores.wakeup.subscribe(mail, SubscriptionFilter(queues=("mail",), types=("send",))) as of_mail,
        stores.wakeup.subscribe(
            bills, SubscriptionFilter(queues=("bills", "Ω'"), types=("send",))
        ) as of_bills,
        stores.wakeup.subscribe(all_queues, EVERYTHING) as of_all,
    ):
        for subscription in (of_mail, of_bills, of_all):
            subscription.attend(owner=None, idle=True)
        await hints_arrive(of_mail, of_bills, of_all)
        stores.wakeup.notify(queues=["Ω'"])
        await bills.until(lambda heard: "Ω'" in heard.queues)
        await all_queues.until(lambda heard: "Ω'" in heard.queues)
        stores.wakeup.notify(queues=["mail"])
        await mail.until(lambda heard: "mail" in heard.queues)
        assert "Ω'" not in mail.heard.queues
        assert "mail" not in bills.heard.queues


async def test_hint_of_leases_reaches_their_owner(stores: Stores) -> None:
    one, other, mine, foreign = Listener(), Listener(), an_incarnation(), an_incarnation()
    async with (
        stores.wakeup.subscribe(one, EVERYTHING) as of_one,
        stores.wakeup.subscribe(other, EVERYTHING) as of_other,
    ):
        of_one.attend(owner=mine, idle=False)
        of_other.attend(owner=foreign, idle=True)
        await hints_arrive(of_one, of_other)
        stores.wakeup.notify(owners=[mine, foreign])
        await one.until(lambda heard: mine in heard.owners)
        await other.until(lambda heard: foreign in heard.owners)


async def test_of_many_who_would_claim_one_hears_at_least(stores: Stores) -> None:
    listeners = [Listener() for _ in range(3)]
    async with AsyncExitStack() as stack:
        for listener in listeners:
            subscription = await stack.enter_async_context(stores.wakeup.subscribe(listener, EVERYTHING))
            subscription.attend(owner=None, idle=True)
            await hints_arrive(subscription)
        stores.wakeup.notify(queues=["a"])
        hearing = [
            asyncio.create_task(listener.until(lambda heard: "a" in heard.queues)) for listener in listeners
        ]
        done, pending = await asyncio.wait(hearing, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        assert done


async def test_who_turns_idle_hears_of_what_was_told_meanwhile(stores: Stores) -> None:
    listener = Listener()
    async with stores.wakeup.subscribe(listener, EVERYTHING) as subscription:
        subscription.attend(owner=None, idle=False)
        await hints_arrive(subscription)
        stores.wakeup.notify(queues=["a"])
        subscription.attend(owner=None, idle=True)
        await listener.until(lambda heard: "a" in heard.queues)


async def test_hints_of_one_moment_all_arrive(stores: Stores) -> None:
    listeners = {f"queue {i}": Listener() for i in range(20)}
    async with AsyncExitStack() as stack:
        for name, listener in listeners.items():
            subscribing = stores.wakeup.subscribe(listener, SubscriptionFilter(queues=(name,)))
            subscription = await stack.enter_async_context(subscribing)
            subscription.attend(owner=None, idle=True)
        for name in listeners:
            stores.wakeup.notify(queues=[name])
        for name, listener in listeners.items():
            await listener.until(lambda heard, name=name: name in heard.queues)  # type: ignore[misc]


async def test_what_is_passed_on_is_no_error_whoever_is_there(stores: Stores) -> None:
    async with stores.wakeup.subscribe(Listener(), EVERYTHING) as subscription:
        subscription.pass_on()


async def test_one_subscription_outlives_another(stores: Stores) -> None:
    gone, staying = Listener(), Listener()
    async with stores.wakeup.subscribe(staying, EVERYTHING) as subscription:
        subscription.attend(owner=None, idle=True)
        async with stores.wakeup.subscribe(gone, EVERYTHING):
            pass
        stores.wakeup.notify(queues=["a"])
        await staying.until(lambda heard: "a" in heard.queues)
    assert gone.heard == Hint()


async def test_notify_coalescer_with_nobody_there_is_no_error(stores: Stores) -> None:
    stores.wakeup.notify(queues=["a"])
    stores.wakeup.notify()


async def test_notify_from_another_thread_arrives(stores: Stores) -> None:
    listener = Listener()
    async with stores.wakeup.subscribe(listener, EVERYTHING) as subscription:
        subscription.attend(owner=None, idle=True)
        await asyncio.to_thread(stores.wakeup.notify, queues=["a"])
        await listener.until(lambda heard: "a" in heard.queues)


async def test_subscription_finds_out_that_hints_arrive(stores: Stores) -> None:
    async with stores.wakeup.subscribe(Listener(), EVERYTHING) as subscription:
        await hints_arrive(subscription)


async def test_hint_of_a_callers_transaction_leaves_with_its_commit(stores: Stores) -> None:
    listener = Listener()
    async with stores.wakeup.subscribe(listener, EVERYTHING) as subscription:
        subscription.attend(owner=None, idle=True)
        async with stores.callers_transaction() as connection:
            async with stores.units.join(connection) as joined:
                await joined.notify(queues=["a"])
                await joined.notify(queues=[])
            # What was rung later would come later.
            stores.wakeup.notify(queues=["between"])
            await listener.until(lambda heard: "between" in heard.queues)
            assert "a" not in listener.heard.queues
        await listener.until(lambda heard: "a" in heard.queues)


async def test_hint_of_a_callers_transaction_is_gone_with_it(stores: Stores) -> None:
    listener = Listener()

    async def notify_in_vain() -> None:
        async with stores.callers_transaction() as connection, stores.units.join(connection) as joined:
            await joined.notify(queues=["a"])
            raise LookupError("the caller's own")

    async with stores.wakeup.subscribe(listener, EVERYTHING) as subscription:
        subscription.attend(owner=None, idle=True)
        with pytest.raises(LookupError, match="the caller's own"):
            await notify_in_vain()
        stores.wakeup.notify(queues=["after"])
        await listener.until(lambda heard: "after" in heard.queues)
    assert "a" not in listener.heard.queues
