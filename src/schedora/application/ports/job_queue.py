"""The hot path: one batch takes in what is done and gives out what is next."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from attrs import field, frozen

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import IncarnationId, JobId, JsonText, LeaseId, WorkerId


@frozen(kw_only=True)
class ClaimRequest:
    """What a worker wants. Empty ``queues``: every queue.

    Of the first ``start_count`` of the jobs claimed, those that are not suspect are recorded as started with
    the claim. The others wait with the worker as SCHEDULED; a suspect one starts only once its ``Start`` was
    accepted.
    """

    owner: IncarnationId
    worker_id: WorkerId
    queues: tuple[str, ...]
    types: tuple[str, ...]
    limit: int
    start_count: int


@frozen(kw_only=True)
class Start:
    """An attempt has started; or, with ``progress``, has something to tell."""

    job_id: JobId
    lease_id: LeaseId
    started_at: datetime
    progress: JsonText | None = None


@frozen(kw_only=True)
class SyncAnswer:
    """The store's answer.

    ``accepted`` are the leases whose completion or start was taken; a lease that is not among them is gone.
    ``claimed`` comes in the order in which the jobs should run. ``next_due_at``, given when less than asked
    for was claimed, is when the next waiting job of these queues and types falls due, or when to look again for
    one that this claim may have passed over; an instant that has passed means that others were claiming at the same
    moment and that trying again soon is worth it.
    ``at`` is the store's clock.
    """

    at: datetime
    accepted: frozenset[LeaseId] = frozenset()
    claimed: tuple[ClaimedJob, ...] = ()
    next_due_at: datetime | None = None


@frozen(kw_only=True)
class SyncBatch:
    """What a worker hands in and asks for. Completions of workflows' jobs go through a unit of work instead,
    for they change other jobs.
    """

    completions: Sequence[Completion] = ()
    starts: Sequence[Start] = ()
    claim: ClaimRequest | None = field(default=None)

    @property
    def leases(self) -> list[LeaseId]:
        """Those that it tells of."""
        return [*(one.lease_id for one in self.completions), *(one.lease_id for one in self.starts)]


class JobQueue(Protocol):
    async def sync(self, batch: SyncBatch) -> SyncAnswer:
        """All of it in one transaction. Raises ``StoreUnavailable``; then it may or may not have happened,
        and handing the same completions in again is safe.

        Jobs are claimed by priority (high first), then ``scheduled_at``, then ``job_id``, from queues that
        are not paused, and only for an owner that is registered and ACTIVE.
        """
        ...

    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        """The leases that are still this owner's."""
        ...

    async def claims(self, owner: IncarnationId) -> list[ClaimedJob]:
        """All that this owner holds, in the order of job ids: what a claim brought whose answer was lost."""
        ...
