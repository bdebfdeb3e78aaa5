"""One transaction at a time, whatever event loop or thread it comes from."""

import asyncio
import threading

import pytest

from schedora.adapters.memory.turnstile import Turnstile
from schedora.application.context import run_without_waiting


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    turnstile = Turnstile()
    order: list[int] = []

    async def pass_through(number: int) -> None:
        async with turnstile:
            order.append(number)
            await settle()
            order.append(number)

    await asyncio.gather(*(pass_through(number) for number in range(5)))
    assert order == [number for number in range(5) for _ in range(2)]


async def test_free_turnstile_never_waits_for_the_event_loop() -> None:
    async def through(turnstile: Turnstile) -> str:
        async with turnstile:
            return "through"

    assert run_without_waiting(through(Turnstile())) == "through"


def test_no_event_loop_is_needed() -> None:
    async def through(turnstile: Turnstile) -> str:
        async with turnstile:
            return "through"

    turnstile = Turnstile()
    assert run_without_waiting(through(turnstile)) == "through"
    assert run_without_waiting(through(turnstile)) == "through"


async def test_task_that_is_inside_does_not_wait_for_itself() -> None:
    turnstile = Turnstile()
    async with turnstile:
        with pytest.raises(RuntimeError, match="has a transaction open on the memory store already"):
            await turnstile.__aenter__()
    async with turnstile:
        pass


async def test_task_that_waited_for_its_turn_is_known_to_be_inside() -> None:
    turnstile = Turnstile()

    async def twice() -> None:
        async with turnstile:
            await turnstile.__aenter__()

    async with turnstile:
        task = asyncio.create_task(twice())
        await settle()
    with pytest.raises(RuntimeError, match="already"):
        await task


async def test_error_inside_opens_it_for_the_next() -> None:
    turnstile = Turnstile()
    with pytest.raises(LookupError):
        async with turnstile:
            raise LookupError
    async with turnstile:
        pass


async def test_one_that_gives_up_waiting_is_passed_over() -> None:
    turnstile = Turnstile()
    order: list[str] = []

    async def pass_through(name: str) -> None:
        async with turnstile:
            order.append(name)

    async with turnstile:
        impatient = asyncio.create_task(pass_through("impatient"))
        patient = asyncio.create_task(pass_through("patient"))
        await settle()
        impatient.cancel()
        await settle()
    await patient
    assert order == ["patient"]
    assert impatient.cancelled()


async def test_one_that_gives_up_as_its_turn_comes_passes_it_on() -> None:
    turnstile = Turnstile()
    order: list[str] = []

    async def pass_through(name: str) -> None:
        async with turnstile:
            order.append(name)

    async with turnstile:
        impatient = asyncio.create_task(pass_through("impatient"))
        patient = asyncio.create_task(pass_through("patient"))
        await settle()
    impatient.cancel()  # its turn has come, and it has not run since
    await asyncio.gather(impatient, patient, return_exceptions=True)
    assert order == ["patient"]
    async with turnstile:
        pass


def test_threads_with_loops_of_their_own_take_turns() -> None:
    turnstile = Turnstile()
    inside = 0
    most = 0

    async def often() -> None:
        nonlocal inside, most
        for _ in range(50):
            async with turnstile:
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
