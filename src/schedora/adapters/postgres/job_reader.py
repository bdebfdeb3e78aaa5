"""Jobs as they are looked at."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import attrs

from schedora.adapters.postgres import rows
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.scan_limit import SCAN_LIMIT, SPARSE_SCAN_LIMIT, sliced
from schedora.adapters.postgres.statements import written
from schedora.application.ports.job_reader import PAGE_BYTES, JobFilter, JobPage, StatusSummary
from schedora.domain.ids import JobId, JsonText, LeaseToken, uuid7
from schedora.domain.job import Job
from schedora.domain.job_state import JobState

CLOCKS_APART = timedelta(minutes=5)
"""A job's id tells the time of whoever submitted it, ``created_at`` that of the database: so far apart can these
be, and ranges of time are still exact.
"""

_GET = written("""
{full_jobs}
where jobs.job_id = :job_id::uuid
""")
_GOING_ON = written("""
select j.job_id from jobs j where j.job_id = any(:job_ids::uuid[]) and j.status in ('PENDING', 'RETRYING')
""")
_STATUS_SUMMARIES = written("""
select
    j.job_id,
    case when l.started_at is not null then 'RUNNING' when l.job_id is not null then 'SCHEDULED' else j.status end
        as status,
    coalesce(l.token, j.lease_token) as lease_token
from jobs j
left join job_leases l on l.job_id = j.job_id
where j.job_id = any(:job_ids::uuid[])
""")
_UPSTREAM_RESULTS = written("""
select u.job_id, u.key, u.result::text as result
from jobs j
join jobs u on u.job_id = any(j.depends_on)
where j.job_id = :job_id::uuid
""")


class PostgresJobReader:
    def __init__(
        self,
        database: Database,
        *,
        scan_limit: int = SCAN_LIMIT,
        sparse_scan_limit: int = SPARSE_SCAN_LIMIT,
        page_bytes: int = PAGE_BYTES,
    ) -> None:
        self._database = database
        self._scan_limit = scan_limit
        self._sparse_scan_limit = sparse_scan_limit
        self._page_bytes = page_bytes

    async def get(self, job_id: JobId) -> Job | None:
        found = await self._database.fetch(_GET, job_id=job_id)
        return rows.job(found[0]) if found else None

    async def page(self, job_filter: JobFilter, *, limit: int, after: JobId | None) -> JobPage:
        from schedora.adapters.postgres import job_pages  # noqa: PLC0415 - workers need not carry SQLAlchemy

        values = {name: value for name, value in _asked(job_filter).items() if name != "states"}
        values |= _bounds(job_filter, after)
        statement = job_pages.page(job_filter.states, frozenset(values))
        scan_limit = (
            self._sparse_scan_limit
            if job_pages.sparse(job_filter.states, frozenset(values))
            else self._scan_limit
        )
        found = await self._database.fetch(
            statement, **values, scan_limit=scan_limit, limit=limit, page_bytes=self._page_bytes
        )
        page = sliced(found, limit=limit, scan_limit=scan_limit, page_bytes=self._page_bytes)
        return JobPage(
            jobs=tuple(rows.job(row) for row in page.rows),
            next_after=None if page.next_after is None else JobId(page.next_after),
        )

    async def ended(self, job_ids: Collection[JobId]) -> set[JobId]:
        going_on = await self._database.fetch(_GOING_ON, job_ids=list(job_ids))
        return set(job_ids) - {row["job_id"] for row in going_on}

    async def status_summaries(self, job_ids: Collection[JobId]) -> Mapping[JobId, StatusSummary]:
        found = await self._database.fetch(_STATUS_SUMMARIES, job_ids=list(job_ids))
        return {
            JobId(row["job_id"]): StatusSummary(JobState(row["status"]), LeaseToken(row["lease_token"]))
            for row in found
        }

    async def upstream_results(self, job_id: JobId) -> Mapping[str, JsonText | None]:
        upstream = await self._database.fetch(_UPSTREAM_RESULTS, job_id=job_id)
        return {row["key"] or str(row["job_id"]): row["result"] for row in upstream}


def _asked(job_filter: JobFilter) -> dict[str, Any]:
    return {
        name: value for name, value in attrs.asdict(job_filter, recurse=False).items() if value is not None
    }


def _bounds(job_filter: JobFilter, after: JobId | None) -> dict[str, Any]:
    """Ids between which everything is."""
    bounds: dict[str, Any] = {} if after is None else {"below": after}
    if job_filter.created_after is not None:
        bounds["from"] = _id_at(job_filter.created_after, -CLOCKS_APART)
    if job_filter.created_before is not None:
        bounds["until"] = _id_at(job_filter.created_before, CLOCKS_APART)
    return bounds


def _id_at(instant: datetime, shift: timedelta) -> UUID:
    """Not above any id of the instant that is so far away from this one."""
    milliseconds = (instant.timestamp() + shift.total_seconds()) * 1000  # which has no end, as dates have
    return uuid7(max(0, int(milliseconds)), 0)
