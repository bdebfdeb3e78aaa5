"""How the system is."""

from collections import Counter

from attrs import frozen

from schedora.application.errors import StoreUnavailable
from schedora.application.ports.health import Health
from schedora.application.ports.workers import Workers
from schedora.domain.worker import LIVE, WorkerState


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
        """``healthy``; ``degraded`` without Redis where one is configured; ``unhealthy`` without database."""
        redis, detail = "disabled", None
        if self.redis is not None:
            try:
                await self.redis.check()
                redis = "up"
            except StoreUnavailable as error:
                redis, detail = "down", str(error)
        try:
            await self.database.check()
            states = Counter(worker.status for worker in await self.workers.registered())
        except StoreUnavailable as error:
            return HealthReport(
                status="unhealthy", database="down", redis=redis,
                workers_total=0, workers_active=0, workers_stale=0, detail=str(error),
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
