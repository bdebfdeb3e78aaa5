"""What the log is told of a store that is away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.errors import StoreBusy, StoreUnavailable
from schedora.entrypoints.api.outage_log import LOOK_EVERY, TELL_EVERY, OutageLog

NO_ROUTE = StoreUnavailable("no route")


class Store:
    def __init__(self) -> None:
        self.away = True
        self.busy = False
        self.broken = False
        self.looks = 0

    async def look(self) -> None:
        self.looks += 1
        if self.broken:
            raise ValueError("a defect")
        if self.busy:
            raise StoreBusy("all connections are in use")
        if self.away:
            raise NO_ROUTE


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def outage(store: Store, clock: VirtualClock) -> AsyncIterator[OutageLog]:
    outage = OutageLog(store.look, clock)
    yield outage
    await outage.close()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def pass_by(clock: VirtualClock, span: timedelta) -> None:
    """Look by look."""
    for _ in range(span // LOOK_EVERY):
        clock.advance(LOOK_EVERY)
        await settle()


async def test_has_one_line_at_its_begin_one_a_minute_and_one_at_its_end(
    outage: OutageLog, store: Store, clock: VirtualClock
) -> None:
    with capture_logs() as lines:
        for _ in range(100):
            outage.refused(NO_ROUTE, trace_id="t")
        await settle()
        known = [outage.known]
        for _ in range(3):
            outage.refused(NO_ROUTE, trace_id="t")
            await pass_by(clock, TELL_EVERY)
        store.away = False
        await pass_by(clock, LOOK_EVERY)
        known.append(outage.known)
    assert known == [True, False]
    told = [(line["log_level"], line["event"], line.get("requests_refused")) for line in lines]
    assert told == [
        ("warning", "the store is away", None),
        ("warning", "the store is still away", 101),
        ("warning", "the store is still away", 102),
        ("warning", "the store is still away", 103),
        ("info", "the store is back", 103),
    ]
    assert lines[-1]["away_seconds"] == 180.5


async def test_is_looked_for_only_once_somebody_was_refused(
    outage: OutageLog, store: Store, clock: VirtualClock
) -> None:
    await pass_by(clock, TELL_EVERY)
    assert store.looks == 0
    outage.suspected()
    outage.suspected()
    await settle()
    assert (store.looks, outage.known) == (1, True)
    store.away = False
    await pass_by(clock, TELL_EVERY)
    assert (store.looks, outage.known) == (2, False), "nobody looks any more"


async def test_what_fails_while_the_store_is_there_is_told_once_a_minute(
    outage: OutageLog, store: Store, clock: VirtualClock
) -> None:
    store.away = False
    with capture_logs() as lines:
        for _ in range(2):
            for _ in range(50):
                outage.refused(NO_ROUTE, trace_id="t")
            await settle()
        clock.advance(TELL_EVERY)
        outage.refused(NO_ROUTE, trace_id="u")
        await settle()
    assert not outage.known
    assert [line["event"] for line in lines] == ["the store failed requests"] * 2
    assert [line["requests"] for line in lines] == [50, 51]


async def test_store_that_is_busy_is_not_away(outage: OutageLog, store: Store, clock: VirtualClock) -> None:
    store.busy = True
    with capture_logs() as lines:
        outage.refused(StoreBusy("all connections are in use"), trace_id="t")
        await settle()
    assert not outage.known
    assert [line["event"] for line in lines] == ["the store failed requests"]


async def test_nobody_looks_after_the_end(outage: OutageLog, store: Store, clock: VirtualClock) -> None:
    outage.suspected()
    await settle()
    await outage.close()
    assert (store.looks, clock.sleepers) == (1, 0)


async def test_is_not_known_for_ever_when_a_look_fails_for_another_reason(
    outage: OutageLog, store: Store, clock: VirtualClock
) -> None:
    known = []
    with capture_logs() as lines:
        outage.refused(NO_ROUTE, trace_id="t")
        await settle()
        known.append(outage.known)
        store.broken = True
        await pass_by(clock, LOOK_EVERY)
        known.append(outage.known)
        store.broken = False
        outage.refused(NO_ROUTE, trace_id="t")
        await settle()
        known.append(outage.known)
    assert known == [True, False, True], "and it is looked at again"
    assert [line["event"] for line in lines] == [
        "the store is away", "whether the store is away can't be told", "the store is away"
    ]  # fmt: skip


async def test_can_be_closed_after_a_look_that_failed(outage: OutageLog, store: Store) -> None:
    store.broken = True
    outage.suspected()
    await settle()
    await outage.close()
