"""How the system is."""

import asyncio
from collections import Counter
from datetime import timedelta

from attrs import frozen

from schedora.application.errors import StoreUnavailable
from schedora.application.ports.health import Health
from schedora.application.ports.workers import Workers
from schedora.domain.worker import LIVE, WorkerState

PATIENCE = timedelta(seconds=1.5)
"""For what takes a question and does not answer: a probe wants to know within two seconds."""


@frozen(kw_only=True)
class HealthReport:
    """``database`` and ``redis``: ``up``, ``down`` or, for a Redis that is not configured, ``disabled``."""

    status: str
    database: str
    redis: str
    workers_total: int
    workers_active: int
    workers_stale: int
    detail: str | None = None


@frozen(kw_only=True)
class CheckHealth:
    database: Health
    workers: Workers
    redis: Health | None = None

    async def __call__(self) -> HealthReport:
        """``healthy``; ``degraded`` without Redis where one is configured; ``unhealthy`` without database, with one that does
        not answer soon, and with one that takes no writes. Within ``PATIENCE``, whatever hangs.
        """
        states, (redis, redis_detail) = await asyncio.gather(self._workers_by_state(), self._redis())
        if isinstance(states, str):
            return HealthReport(
                status="unhealthy", database="down", redis=redis,
                workers_total=0, workers_active=0, workers_stale=0, detail=states,
            )  # fmt: skip
        return HealthReport(
            status="degraded" if redis == "down" else "healthy",
            database="up",
            redis=redis,
            workers_total=sum(states[state] for state in (*LIVE, WorkerState.STALE)),
            workers_active=states[WorkerState.ACTIVE],
            workers_stale=states[WorkerState.STALE],
            detail=redis_detail,
        )

    async def _workers_by_state(self) -> Counter[WorkerState] | str:
        """Or what is wrong with the database."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self.database.check()
                return Counter(worker.status for worker in await self.workers.registered())
        except (StoreUnavailable, TimeoutError) as error:
            return str(error) or "the database did not answer in time"

    async def _redis(self) -> tuple[str, str | None]:
        """How it is, and what is wrong with it."""
        if self.redis is None:
            return "disabled", None
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self.redis.check()
        except (StoreUnavailable, TimeoutError) as error:
            return "down", str(error) or "redis did not answer in time"
        return "up", None
