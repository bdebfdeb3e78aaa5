"""A process whose schema somebody else upgrades."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.errors import SchemaMismatch, StoreUnavailable
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.schema_watch import INTERVAL, SchemaWatch
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System


@pytest.fixture
async def system() -> AsyncIterator[System]:
    made = build_system(Settings(_env_file=None), database_url=None)  # type: ignore[call-arg] # how pydantic takes it
    await made.open()
    yield made
    await made.close()


def answering(*answers: Exception | None) -> tuple[Callable[[], Awaitable[None]], asyncio.Event]:
    """A look that answers so, one after the other, and an event that is set with the last answer."""
    left, told = list(answers), asyncio.Event()

    async def look() -> None:
        answer = left.pop(0)
        if not left:
            told.set()
        if answer is not None:
            raise answer

    return look, told


async def test_it_ends_with_one_line_once_the_schema_is_not_for_this_version(system: System) -> None:
    look, _ = answering(None, StoreUnavailable("away"), None, SchemaMismatch("schema 9999 is newer"))
    with capture_logs() as lines:
        async with asyncio.timeout(30):
            await SchemaWatch(evolve(system, check_schema=look), interval=timedelta(microseconds=1)).run()
    assert [(line["log_level"], line["error"]) for line in lines] == [("error", "schema 9999 is newer")]


async def test_a_store_that_is_away_says_nothing_of_the_schema(system: System) -> None:
    look, told = answering(*[StoreUnavailable("away")] * 3)
    service = SchemaWatch(evolve(system, check_schema=look), interval=timedelta(microseconds=1))
    running = asyncio.create_task(service.run())
    with capture_logs() as lines:
        async with asyncio.timeout(30):
            await told.wait()
            service.stop()
            await running
    assert lines == []


async def test_one_that_is_stopped_does_not_look(system: System) -> None:
    service = SchemaWatch(system)
    service.stop()
    await service.run()


async def test_it_looks_every_few_seconds(system: System) -> None:
    clock, looks = VirtualClock(), 0

    async def look() -> None:
        nonlocal looks
        looks += 1

    service = SchemaWatch(evolve(system, clock=clock, check_schema=look))
    running = asyncio.create_task(service.run())
    for before in range(3):
        while not clock.sleepers:
            await asyncio.sleep(0)
        clock.advance(INTERVAL - timedelta(microseconds=1))
        await asyncio.sleep(0)
        assert looks == before
        clock.advance(timedelta(microseconds=1))
        while looks == before:
            await asyncio.sleep(0)
    service.stop()
    await running
