"""Brings requests that submitted jobs to the store."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.request_spans import MemoryRequestSpans
from schedora.application import request_keeper
from schedora.application.ports.metrics import Counter
from schedora.application.ports.request_spans import Asked
from schedora.application.request_keeper import EVERY, RequestKeeper
from schedora.application.telemetry.request_span import ServedRequest
from tests.contract.test_request_spans import a_request_served
from tests.unit.application.bench import Bench

DROPPED = (Counter.REQUEST_SPANS_DROPPED, "")


@pytest.fixture
def keeper(bench: Bench) -> RequestKeeper:
    return RequestKeeper(request_spans=bench.stores.request_spans, clock=bench.clock, metrics=bench.metrics)


async def kept(bench: Bench, *served: ServedRequest) -> list[ServedRequest]:
    return await bench.stores.request_spans.find(
        [Asked(one.trace.span_id, bench.clock.now()) for one in served]
    )


async def test_what_was_served_is_written_in_batches(
    bench: Bench, keeper: RequestKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_keeper, "BATCH_MAX", 2)
    served = [a_request_served() for _ in range(5)]
    for one in served:
        keeper.note(one)
    assert len(keeper) == 5
    await keeper.flush()
    assert len(keeper) == 0
    assert await kept(bench, *served) == served


async def test_what_waits_is_bounded_and_the_rest_is_counted(
    bench: Bench, keeper: RequestKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_keeper, "WAITING_MAX", 2)
    served = [a_request_served() for _ in range(5)]
    for one in served:
        keeper.note(one)
    await keeper.flush()
    assert await kept(bench, *served) == served[:2]
    assert bench.metrics.counted == {DROPPED: 3}


async def test_a_store_that_is_away_loses_them_and_they_are_counted(
    bench: Bench, keeper: RequestKeeper
) -> None:
    lost, later = a_request_served(), a_request_served()
    bench.faults.away = True
    keeper.note(lost)
    await keeper.flush()
    bench.faults.away = False
    keeper.note(later)
    await keeper.flush()
    assert await kept(bench, lost, later) == [later]
    assert bench.metrics.counted == {DROPPED: 1}


async def test_a_defect_loses_what_it_hits_and_nothing_else(bench: Bench) -> None:
    class Broken(MemoryRequestSpans):
        async def keep(self, served: Sequence[ServedRequest]) -> None:
            raise RuntimeError("a defect")

    keeper = RequestKeeper(request_spans=Broken(bench.store), clock=bench.clock, metrics=bench.metrics)
    keeper.note(a_request_served())
    await keeper.flush()
    assert bench.metrics.counted == {DROPPED: 1}


async def test_it_wakes_for_nothing_while_there_is_nothing(bench: Bench, keeper: RequestKeeper) -> None:
    running = asyncio.create_task(keeper.run())
    await asyncio.sleep(0)
    assert bench.clock.sleepers == 0
    keeper.note(a_request_served())
    while not bench.clock.sleepers:
        await asyncio.sleep(0)
    keeper.stop()
    await running


async def test_it_writes_every_second_and_at_the_end(bench: Bench, keeper: RequestKeeper) -> None:
    first, last = a_request_served(), a_request_served()
    running = asyncio.create_task(keeper.run())
    keeper.note(first)
    while not bench.clock.sleepers:
        await asyncio.sleep(0)
    assert len(keeper) == 1
    bench.clock.advance(EVERY)
    while len(keeper):
        await asyncio.sleep(0)
    assert await kept(bench, first) == [first]
    keeper.note(last)
    keeper.stop()
    await running
    assert await kept(bench, last) == [last]


async def test_what_a_store_that_hangs_has_not_taken_at_the_end_is_said_and_counted(bench: Bench) -> None:
    hanging = asyncio.Event()

    class Hanging(MemoryRequestSpans):
        async def keep(self, served: Sequence[ServedRequest]) -> None:
            hanging.set()
            await asyncio.Event().wait()

    keeper = RequestKeeper(request_spans=Hanging(bench.store), clock=bench.clock, metrics=bench.metrics)
    keeper.note(a_request_served())
    flushing = asyncio.create_task(keeper.flush())
    await hanging.wait()
    keeper.note(a_request_served())
    flushing.cancel()
    await asyncio.wait([flushing])
    with capture_logs() as lines:
        keeper.give_up()
        keeper.give_up()
    assert [(line["log_level"], line["spans"]) for line in lines] == [("error", 2)]
    assert bench.metrics.counted == {DROPPED: 2}
