"""Jobs as they are looked at."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.job_reader import PAGE_BYTES, JobFilter, JobPage, StatusSummary
from schedora.domain.ids import JobId, JsonText
from schedora.domain.job import Job

R = TypeVar("R")


class MemoryJobReader:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def get(self, job_id: JobId) -> Job | None:
        with self._store.committed() as tables:
            return tables.jobs.get(job_id)

    @fallible
    async def page(self, job_filter: JobFilter, *, limit: int, after: JobId | None) -> JobPage:
        with self._store.committed() as tables:
            ids = self._store.index.ids
            end = len(ids) if after is None else bisect_left(ids, after)
            newest_first = (tables.jobs[ids[i]] for i in range(end - 1, -1, -1))
            # One more than asked for tells whether there is a next page.
            found = list(islice((job for job in newest_first if _matches(job, job_filter)), limit + 1))
        jobs = tuple(
            within_bytes(found[:limit], lambda job: len(job.request.payload) + len(job.result or ""))
        )
        return JobPage(jobs=jobs, next_after=jobs[-1].job_id if len(found) > len(jobs) else None)

    @fallible
    async def ended(self, job_ids: Collection[JobId]) -> set[JobId]:
        with self._store.committed() as tables:
            return {job_id for job_id in job_ids if job_id not in tables.jobs or tables.jobs[job_id].ended}

    @fallible
    async def status_summaries(self, job_ids: Collection[JobId]) -> Mapping[JobId, StatusSummary]:
        with self._store.committed() as tables:
            found = [tables.jobs[job_id] for job_id in job_ids if job_id in tables.jobs]
            return {job.job_id: StatusSummary(job.status, job.lease_token) for job in found}

    @fallible
    async def upstream_results(self, job_id: JobId) -> Mapping[str, JsonText | None]:
        with self._store.committed() as tables:
            job = tables.jobs.get(job_id)
            upstream = [tables.jobs[cause] for cause in job.request.depends_on] if job else []
            return {cause.request.key or str(cause.job_id): cause.result for cause in upstream}


def within_bytes(rows: Iterable[R], size: Callable[[R], int]) -> Iterator[R]:
    """Those before which less than ``PAGE_BYTES`` stand."""
    total_bytes = 0
    for row in rows:
        if total_bytes >= PAGE_BYTES:
            return
        yield row
        total_bytes += size(row)


def _matches(job: Job, job_filter: JobFilter) -> bool:
    return (
        (not job_filter.states or job.status in job_filter.states)
        and job_filter.type in (None, job.request.type)
        and job_filter.queue in (None, job.request.queue)
        and job_filter.workflow_id in (None, job.request.workflow_id)
        and job_filter.worker_id in (None, job.worker_id)
        and (job_filter.error_kind is None or _newest_error_kind(job) == job_filter.error_kind)
        and (job_filter.created_after is None or job.created_at >= job_filter.created_after)
        and (job_filter.created_before is None or job.created_at < job_filter.created_before)
    )


def _newest_error_kind(job: Job) -> str | None:
    return job.errors[-1].kind if job.errors else None
