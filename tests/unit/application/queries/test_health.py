"""How the system is."""

import asyncio
from datetime import timedelta

import attrs
import pytest

from schedora.application.errors import StoreUnavailable
from schedora.application.queries import health
from schedora.application.queries.health import CheckHealth
from schedora.domain.worker import WorkerState
from tests.unit.application.bench import Bench


class Redis:
    def __init__(self, problem: str | None = None) -> None:
        self._problem = problem

    async def check(self) -> None:
        if self._problem is not None:
            raise StoreUnavailable(self._problem)


def check(bench: Bench, redis: Redis | None = None) -> CheckHealth:
    return CheckHealth(database=bench.stores.health, workers=bench.stores.workers, redis=redis)


async def test_healthy_without_redis_where_none_is_configured(bench: Bench) -> None:
    report = await check(bench)()
    assert (report.status, report.database, report.redis, report.detail) == (
        "healthy",
        "up",
        "disabled",
        None,
    )


async def test_healthy_with_redis(bench: Bench) -> None:
    report = await check(bench, Redis())()
    assert (report.status, report.database, report.redis) == ("healthy", "up", "up")


async def test_degraded_when_redis_is_away(bench: Bench) -> None:
    report = await check(bench, Redis("no route"))()
    assert (report.status, report.database, report.redis) == ("degraded", "up", "down")
    assert report.detail == "no route"


@pytest.mark.parametrize("point", ["health.check", "workers.registered"])
async def test_unhealthy_when_the_database_is_away(bench: Bench, point: str) -> None:
    await bench.stores.worker()
    bench.faults.fail(point)
    report = await check(bench, Redis())()
    assert (report.status, report.database, report.redis) == ("unhealthy", "down", "up")
    assert (report.workers_total, report.workers_active, report.workers_stale) == (0, 0, 0)
    assert point in str(report.detail)


class Silence:
    """A database that takes what is asked, and says nothing."""

    async def check(self) -> None:
        await asyncio.Event().wait()


async def test_unhealthy_when_the_database_says_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", timedelta(0))
    report = await asyncio.wait_for(attrs.evolve(check(bench, Redis()), database=Silence())(), 30)
    assert (report.status, report.database, report.redis) == ("unhealthy", "down", "up")
    assert report.detail == "the database did not answer in time"


async def test_workers_are_counted_without_those_that_said_good_bye(bench: Bench) -> None:
    for status in (*WorkerState, WorkerState.ACTIVE):
        worker = await bench.stores.worker()
        await bench.stores.workers.set_status([worker.incarnation], status)
    report = await check(bench)()
    assert (report.workers_total, report.workers_active, report.workers_stale) == (4, 2, 1)
