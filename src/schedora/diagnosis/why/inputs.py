"""What is known of one job and of what it needs to run, at one instant. ``explanation.py`` makes reasons of it."""

from datetime import datetime, timedelta

from attrs import field, frozen

from schedora.domain.events import AttemptError, JobEvent
from schedora.domain.ids import JobId, WorkerId
from schedora.domain.job_state import WAITING, JobState
from schedora.domain.worker import WorkerState


@frozen(kw_only=True)
class CandidateWorker:
    """A live worker, as far as it matters to the job."""

    worker_id: WorkerId
    status: WorkerState
    last_heartbeat: datetime
    knows_type: bool
    serves_queue: bool
    slots: int
    held_jobs: int = 0
    """Jobs under its leases, running or about to; of one that would not take the job, 0."""

    @property
    def would_take_it(self) -> bool:
        """Whether a claim by it, with room, takes the job once that is due and its queue not paused."""
        return self.status is WorkerState.ACTIVE and self.knows_type and self.serves_queue

    @property
    def free_slots(self) -> int:
        return max(0, self.slots - self.held_jobs)


@frozen(kw_only=True)
class LeaseHolder:
    """Who holds the job. ``status`` and what comes with it are None where the register has forgotten the worker."""

    worker_id: WorkerId
    claimed_at: datetime
    started_at: datetime | None = None
    status: WorkerState | None = None
    last_heartbeat: datetime | None = None
    slots: int | None = None
    running_jobs: int = 0
    """Jobs that it has started."""


@frozen(kw_only=True)
class UnfinishedUpstream:
    """A job that stands in the way of the one asked about: it has not succeeded."""

    job_id: JobId
    key: str | None = None
    type: str
    status: JobState
    since: datetime
    """Of one that is held or has ended: since when. Of one that waits: when it is due."""
    waits_for: int = 0
    worker_id: WorkerId | None = None
    """Who holds it."""
    error_kind: str | None = None
    error_message: str | None = None


@frozen(kw_only=True)
class ExplainInputs:
    """``at`` is the store's clock. ``upstream`` are jobs that stand in the way, those that have failed first, and no
    more than so many as the reader tells.
    """

    at: datetime
    job_id: JobId
    type: str
    queue: str
    priority: int
    status: JobState
    created_at: datetime
    scheduled_at: datetime
    timeout: timedelta
    waits_for: int = 0
    attempt: int = 0
    worker_id: WorkerId | None = None
    """Of a job that has ended: who ran it last."""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    last_move: JobEvent | None = None
    """The newest of its history, which does not tell the present claim."""
    last_error: AttemptError | None = None
    """Of its newest failed attempt, without the traceback."""
    released_at: datetime | None = None
    """Of a job that waits and depends on others: when the last of them succeeded, as far as they are still there."""
    paused_at: datetime | None = None
    """Since when its queue is paused."""
    holder: LeaseHolder | None = None
    upstream: tuple[UnfinishedUpstream, ...] = ()
    root: UnfinishedUpstream | None = None
    """Where the way from cause to cause ends, if that is none of ``upstream``."""
    workers: tuple[CandidateWorker, ...] = field(default=(), repr=False)
    """All that are live, by name; none of them where the job does not wait."""

    @property
    def due(self) -> bool:
        return self.scheduled_at <= self.at

    @property
    def ready_since(self) -> datetime:
        """Of one that is ready: since when, by what is written down of the job. Since when its queue is open again, or since when
        there are workers, is not.
        """
        return became_ready(self.created_at, self.scheduled_at, self.released_at, self.last_move)

    @property
    def takers(self) -> tuple[CandidateWorker, ...]:
        """Workers whose claims would take it, with room, as far as it is up to them."""
        return tuple(worker for worker in self.workers if worker.would_take_it)

    @property
    def ready(self) -> bool:
        """Whether a claim with room for all that is ready would take it now, by one of the live workers."""
        return (
            self.status in WAITING
            and self.waits_for == 0
            and self.due
            and self.paused_at is None
            and bool(self.takers)
        )


@frozen(kw_only=True)
class QueuePosition:
    """What stands before a ready job: jobs that are due and go first, where those who would take it take jobs."""

    ahead: int
    at_least: bool = False
    """There are more than were counted."""
    claims_per_second: float | None = None
    """How many jobs those workers take at present, as far as they told; None where none of them did."""


def became_ready(
    created_at: datetime, scheduled_at: datetime, released_at: datetime | None, last_move: JobEvent | None
) -> datetime:
    """A job may have come for a time that had passed, have waited for others, or have been held until then."""
    moved_at = None if last_move is None else last_move.at
    known = (created_at, scheduled_at, released_at, moved_at)
    return max(moment for moment in known if moment is not None)
