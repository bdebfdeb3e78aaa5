"""One transaction at a time, whatever event loop or thread it comes from."""

import asyncio
import threading

import pytest

from schedora.adapters.memory.transaction_mutex import TransactionMutex
from schedora.application.context import run_without_waiting


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    transaction_mutex = TransactionMutex()
    order: list[int] = []

    async def pass_through(number: int) -> None:
        async with transaction_mutex:
            order.append(number)
            await settle()
            order.append(number)

    await asyncio.gather(*(pass_through(number) for number in range(5)))
    assert order == [number for number in range(5) for _ in range(2)]


async def test_free_transaction_mutex_never_waits_for_the_event_loop() -> None:
    async def through(transaction_mutex: TransactionMutex) -> str:
        async with transaction_mutex:
            return "through"

    assert run_without_waiting(through(TransactionMutex())) == "through"


def test_no_event_loop_is_needed() -> None:
    async def through(transaction_mutex: TransactionMutex) -> str:
        async with transaction_mutex:
            return "through"

    transaction_mutex = TransactionMutex()
    assert run_without_waiting(through(transaction_mutex)) == "through"
    assert run_without_waiting(through(transaction_mutex)) == "through"


async def test_task_that_is_inside_does_not_wait_for_itself() -> None:
    transaction_mutex = TransactionMutex()
    async with transaction_mutex:
        with pytest.raises(RuntimeError, match="has a transaction open on the memory store already"):
            await transaction_mutex.__aenter__()
    async with transaction_mutex:
        pass


async def test_task_that_waited_for_its_turn_is_known_to_be_inside() -> None:
    transaction_mutex = TransactionMutex()

    async def twice() -> None:
        async with transaction_mutex:
            await transaction_mutex.__aenter__()

    async with transaction_mutex:
        task = asyncio.create_task(twice())
        await settle()
    with pytest.raises(RuntimeError, match="already"):
        await task


async def test_error_inside_opens_it_for_the_next() -> None:
    transaction_mutex = TransactionMutex()
    with pytest.raises(LookupError):
        async with transaction_mutex:
            raise LookupError
    async with transaction_mutex:
        pass


async def test_one_that_gives_up_waiting_is_passed_over() -> None:
    transaction_mutex = TransactionMutex()
    order: list[str] = []

    async def pass_through(name: str) -> None:
        async with transaction_mutex:
            order.append(name)

    async with transaction_mutex:
        impatient = asyncio.create_task(pass_through("impatient"))
        patient = asyncio.create_task(pass_through("patient"))
        await settle()
        impatient.cancel()
        await settle()
    await patient
    assert order == ["patient"]
    assert impatient.cancelled()


async def test_one_that_gives_up_as_its_turn_comes_passes_it_on() -> None:
    transaction_mutex = TransactionMutex()
    order: list[str] = []

    async def pass_through(name: str) -> None:
        async with transaction_mutex:
            order.append(name)

    async with transaction_mutex:
        impatient = asyncio.create_task(pass_through("impatient"))
        patient = asyncio.create_task(pass_through("patient"))
        await settle()
    impatient.cancel()  # its turn has come, and it has not run since
    await asyncio.gather(impatient, patient, return_exceptions=True)
    assert order == ["patient"]
    async with transaction_mutex:
        pass


def test_threads_with_loops_of_their_own_take_turns() -> None:
    transaction_mutex = TransactionMutex()
    inside = 0
    most = 0

    async def often() -> None:
        nonlocal inside, most
        for _ in range(50):
            async with transaction_mutex:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=lambda: asyncio.run(often())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert (inside, most) == (0, 1)
