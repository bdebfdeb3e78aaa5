"""How the system is."""

import asyncio
from collections import Counter
from datetime import timedelta

from attrs import frozen

from schedora.application.errors import StoreUnavailable
from schedora.application.ports.health import Health
from schedora.application.ports.workers import Workers
from schedora.domain.worker import LIVE, WorkerState

PATIENCE = timedelta(seconds=2)
"""For a database that takes a question and does not answer: a probe wants to know soon."""


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
        """``healthy``; ``degraded`` without Redis where one is configured; ``unhealthy`` without database, or
        with one that does not answer soon.
        """
        redis, detail = "disabled", None
        if self.redis is not None:
            try:
                await self.redis.check()
                redis = "up"
            except StoreUnavailable as error:
                redis, detail = "down", str(error)
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self.database.check()
                states = Counter(worker.status for worker in await self.workers.registered())
        except (StoreUnavailable, TimeoutError) as error:
            return HealthReport(
                status="unhealthy", database="down", redis=redis,
                workers_total=0, workers_active=0, workers_stale=0,
                detail=str(error) or "the database did not answer in time",
            )  # fmt: skip
        return HealthReport(
            status="degraded" if redis == "down" else "healthy",
            database="up",
            redis=redis,
            workers_total=sum(states[state] for state in (*LIVE, WorkerState.STALE)),
            workers_active=states[WorkerState.ACTIVE],
            workers_stale=states[WorkerState.STALE],
            detail=detail,
        )
