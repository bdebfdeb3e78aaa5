"""What a process tells of itself, and how long it does so once it is to end."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from schedora.application.ports.metrics import Counter
from schedora.entrypoints import metrics_flush
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.metrics_flush import MetricsFlush
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System


@pytest.fixture
async def system() -> AsyncIterator[System]:
    made = build_system(Settings(_env_file=None), database_url=None)  # type: ignore[call-arg] # how pydantic takes it
    await made.open()
    yield made
    await made.close()


@pytest.mark.parametrize("counts", [True, False])
async def test_a_store_that_hangs_is_not_waited_for(
    system: System, monkeypatch: pytest.MonkeyPatch, *, counts: bool
) -> None:
    hanging = asyncio.Event()

    async def hang(stop: asyncio.Event) -> None:
        await stop.wait()
        hanging.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(metrics_flush, "GRACE_SECONDS", 0.01)
    service = MetricsFlush(
        evolve(system, keep_flushing=hang) if counts else evolve(system, keep_reporting=hang)
    )
    running = asyncio.create_task(service.run())
    service.stop()
    async with asyncio.timeout(30):
        await running
    assert hanging.is_set()


async def test_counts_that_the_store_does_not_take_are_said(system: System) -> None:
    hanging = asyncio.Event()

    async def hang(stop: asyncio.Event) -> None:
        await hanging.wait()

    service = MetricsFlush(evolve(system, keep_flushing=hang))
    system.metrics.count(Counter.JOBS_SUCCEEDED, "work", 3)
    running = asyncio.create_task(service.run())
    service.stop()
    with capture_logs() as lines:
        hanging.set()
        await running
    assert [line["counts"] for line in lines if line["event"].endswith("lost")] == [
        {"jobs_succeeded_total": 3}
    ]
