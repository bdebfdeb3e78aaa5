"""Jobs as commands change them, inside of one unit of work."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from schedora.domain.completion import Completion
from schedora.domain.ids import DEFAULT_TENANT, JobId, LeaseId, TenantId
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.trace import TraceContext


@frozen(kw_only=True)
class NewJob:
    """A job to add. The store stamps the time with its own clock."""

    job_id: JobId
    request: JobRequest
    idempotency_key: str | None
    """The request's, or one that was made for it."""
    traceparent: str
    fingerprint: bytes
    waits_for: int = 0
    tenant_id: TenantId = DEFAULT_TENANT

    def submitted(self, now: datetime) -> Job:
        """The record of it, as it is read once it was stored at ``now``."""
        return Job.submitted(
            self.request.as_stored(self.idempotency_key),
            job_id=self.job_id,
            trace=TraceContext.stored(self.traceparent),
            now=now,
            waits_for=self.waits_for,
            tenant_id=self.tenant_id,
        )


@frozen(kw_only=True)
class Submission:
    """What became of one ``NewJob``: made, or found under its idempotency key."""

    new: NewJob
    created: bool
    same_request: bool = True
    """Whether the job found was submitted by an equal request."""
    created_at: datetime
    record: Job | None = None
    """None where ``new`` and ``created_at`` tell all."""

    @property
    def job_id(self) -> JobId:
        return self.new.job_id if self.record is None else self.record.job_id

    @property
    def job(self) -> Job:
        """The record. Made at each call: of a batch, it is seldom asked for."""
        return self.new.submitted(self.created_at) if self.record is None else self.record


class JobStore(Protocol):
    """All methods take and return batches; rows are locked in the order of their ids."""

    async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
        """Stores each job with its dependencies, or finds the one that has its idempotency key.

        In the order given; a key that comes twice is found the second time. Queues come into being with
        their first job. Jobs that wait for nothing are claimable once the unit of work commits.
        """
        ...

    async def lock(self, job_ids: Collection[JobId]) -> list[Job]:
        """Those that exist, held against claims, completions and other commands until the unit ends."""
        ...

    async def save(self, jobs: Sequence[Job]) -> None:
        """Writes new states of locked jobs: record, place among the claimable, lease gone."""
        ...

    async def delete(self, job_ids: Collection[JobId]) -> None:
        """Removes locked jobs for good, with their dependencies. Those that have not ended stay."""
        ...

    async def complete(self, completions: Sequence[Completion]) -> set[LeaseId]:
        """Applies those that end their jobs' leases (``Completion.ends``); answers which."""
        ...

    async def release(self, job_ids: Collection[JobId]) -> set[str]:
        """Lowers the count of each dependant of these jobs, once per edge; at zero it is claimable.

        Answers the queues that got claimable jobs. The workflows concerned are locked.
        """
        ...

    async def downstream(self, job_ids: Collection[JobId]) -> list[Job]:
        """All that depends on these jobs, directly or not, and has not ended; locked."""
        ...
