"""The records of jobs and workflows that have ended."""

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_counts import fold_counts
from schedora.adapters.postgres.scan_limit import SCAN_LIMIT
from schedora.adapters.postgres.statements import Statement, load
from schedora.adapters.postgres.sweeps import BEGIN
from schedora.application.ports.records import Pruned
from schedora.domain.retention import Retention

_FEW_WORKFLOWS = 100


class PostgresRecords:
    def __init__(self, database: Database, *, scan_limit: int = SCAN_LIMIT) -> None:
        self._database = database
        self._scan_limit = scan_limit

    async def prune_jobs(self, retention: Retention, *, limit: int) -> Pruned:
        pruned = await self._prune(
            "jobs", load("prune_jobs"), retention, limit=limit, scan_limit=self._scan_limit
        )
        # For where nobody ever reads them.
        await fold_counts(self._database)
        return pruned

    async def prune_workflows(self, retention: Retention, *, limit: int) -> Pruned:
        return await self._prune(
            "workflows",
            load("prune_workflows"),
            retention,
            limit=limit,
            scan_limit=self._scan_limit,
            few=_FEW_WORKFLOWS,
        )

    async def _prune(self, sweep: str, statement: Statement, retention: Retention, **bounds: int) -> Pruned:
        await self._database.fetch(BEGIN, name=sweep)
        (row,) = await self._database.fetch(
            statement,
            success=retention.success,
            canceled=retention.canceled,
            dead=retention.dead,
            **bounds,
        )
        return Pruned(jobs=row["jobs"], workflows=row["workflows"], more=row["more"])
