"""What jobs depend on and what depends on them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import load
from schedora.application.ports.lineage_reader import DEPENDANTS_MAX
from schedora.application.telemetry.lineage import Dependants, Lineage, Relative
from schedora.domain.ids import JobId
from schedora.domain.job_state import JobState
from schedora.domain.trace import TraceContext


class PostgresLineageReader:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def lineage(self, job_ids: Collection[JobId], *, upstream_ids: Collection[JobId]) -> Lineage:
        (row,) = await self._database.fetch(
            load("lineage"),
            job_ids=list(job_ids),
            upstream_ids=list(upstream_ids),
            dependants_max=DEPENDANTS_MAX,
        )
        relatives = [_relative(stored) for stored in _decoded(row["upstream"])]
        return Lineage(
            at=row["at"],
            upstream={relative.job_id: relative for relative in relatives},
            dependants={
                _job_id(stored["job_id"]): Dependants(
                    count=stored["count"], job_ids=tuple(map(_job_id, stored["job_ids"]))
                )
                for stored in _decoded(row["dependants"])
            },
        )


def _relative(stored: dict[str, Any]) -> Relative:
    return Relative(
        job_id=_job_id(stored["job_id"]),
        key=stored["key"],
        trace=TraceContext.stored(stored["traceparent"]),
        status=JobState(stored["status"]),
        claimed_at=_instant(stored["claimed_at"]),
        completed_at=_instant(stored["completed_at"]),
    )


def _job_id(text: str) -> JobId:
    return JobId(UUID(text))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _decoded(document: str | None) -> list[dict[str, Any]]:
    return list(orjson.loads(document)) if document else []
