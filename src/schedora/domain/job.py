"""A job, and what can be done to it from outside. What a run does to it is in ``completion.py``."""

from datetime import datetime
from typing import Final, Self

import attrs
from attrs import field, frozen

from schedora.domain.errors import IllegalMove
from schedora.domain.events import HISTORY_LIMIT, AttemptError, JobEvent
from schedora.domain.ids import DEFAULT_TENANT, JobId, JsonText, LeaseToken, TenantId, WorkerId
from schedora.domain.job_request import JobRequest
from schedora.domain.job_state import ENDED, HELD, REQUEUABLE, WAITING, JobState, check_move
from schedora.domain.lease import Lease
from schedora.domain.trace import TraceContext

UPSTREAM_FAILED: Final = "upstream_failed"
"""Why a job is CANCELED that waited for one that can no longer succeed."""


@frozen(kw_only=True)
class Job:
    """The full record.

    ``attempt`` counts runs that used up a try, the present one included while RUNNING. ``lease_token`` is that
    of the newest claim. ``history`` holds the moves that the columns do not tell; ``events()`` tells all.
    """

    job_id: JobId
    tenant_id: TenantId = DEFAULT_TENANT
    request: JobRequest
    trace: TraceContext
    status: JobState = JobState.PENDING
    scheduled_at: datetime
    waits_for: int = 0
    """How many of the jobs it depends on are not SUCCESS yet."""
    lease: Lease | None = None
    worker_id: WorkerId | None = None
    attempt: int = 0
    retry_count: int = 0
    lease_token: LeaseToken = LeaseToken(0)
    worker_deaths: int = 0
    suspect: bool = False
    """A worker died while holding it, running or about to: its next start is on record before it runs."""
    created_at: datetime
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_message: str | None = None
    errors: tuple[AttemptError, ...] = ()
    history: tuple[JobEvent, ...] = field(default=(), repr=False)
    result: JsonText | None = None

    @classmethod
    def submitted(
        cls,
        request: JobRequest,
        *,
        job_id: JobId,
        trace: TraceContext,
        now: datetime,
        waits_for: int = 0,
        tenant_id: TenantId = DEFAULT_TENANT,
    ) -> Self:
        return cls(
            job_id=job_id,
            tenant_id=tenant_id,
            request=request,
            trace=trace,
            scheduled_at=request.scheduled_at or now,
            created_at=now,
            waits_for=waits_for,
        )

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def claimable(self) -> bool:
        """Waits for nothing but its time and a worker."""
        return self.status in WAITING and self.waits_for == 0

    def canceled(self, *, now: datetime, reason: str) -> Self:
        """CANCELED, its lease gone. Raises ``IllegalMove`` when it has already ended."""
        check_move(self.status, JobState.CANCELED)
        moves = (*self.current_moves(), self._move(JobState.CANCELED, now, reason))
        return attrs.evolve(
            self,
            status=JobState.CANCELED,
            lease=None,
            completed_at=now,
            error_message=reason if reason == UPSTREAM_FAILED else self.error_message,
            history=kept(self.history, moves),
        )

    def requeued(self, *, now: datetime, reason: str, waits_for: int = 0) -> Self:
        """PENDING again with a new retry budget; what it went through is kept.

        Raises ``IllegalMove`` unless it is DEAD or CANCELED.
        """
        if self.status not in REQUEUABLE:  # the other moves to PENDING belong to a job's holder
            raise IllegalMove(self.status, JobState.PENDING)
        return attrs.evolve(
            self,
            status=JobState.PENDING,
            scheduled_at=now,
            waits_for=waits_for,
            worker_id=None,
            retry_count=0,
            worker_deaths=0,
            suspect=False,
            claimed_at=None,
            started_at=None,
            completed_at=None,
            error_message=None,
            history=kept(self.history, (self._move(JobState.PENDING, now, reason),)),
        )

    def current_moves(self) -> tuple[JobEvent, ...]:
        """The moves of the present claim, told by the columns and not yet in ``history``."""
        if self.status not in HELD and self.status is not JobState.SUCCESS:
            return ()
        if self.claimed_at is None:
            raise ValueError(f"job {self.job_id} is {self.status} and was never claimed")
        return current_moves(
            waited_as=self.history[-1].to_state if self.history else JobState.PENDING,
            # The number that this run has, whether or not it is counted yet.
            attempt=self.attempt + (1 if self.status is JobState.SCHEDULED else 0),
            worker_id=self.worker_id,
            claimed_at=self.claimed_at,
            started_at=self.started_at,
            succeeded_at=self.completed_at if self.status is JobState.SUCCESS else None,
        )

    def events(self) -> tuple[JobEvent, ...]:
        """Everything that happened to it, oldest first."""
        created = JobEvent(at=self.created_at, from_state=None, to_state=JobState.PENDING, attempt=0)
        return (created, *self.history, *self.current_moves())

    def _move(self, to_state: JobState, now: datetime, reason: str | None) -> JobEvent:
        return JobEvent(
            at=now,
            from_state=self.status,
            to_state=to_state,
            attempt=self.attempt,
            worker_id=self.worker_id if self.lease else None,
            reason=reason,
        )


def current_moves(
    *,
    waited_as: JobState,
    attempt: int,
    worker_id: WorkerId | None,
    claimed_at: datetime,
    started_at: datetime | None = None,
    succeeded_at: datetime | None = None,
) -> tuple[JobEvent, ...]:
    """The moves of one claim that has not ended, or has ended well: what columns tell."""
    path = (
        (JobState.SCHEDULED, claimed_at),
        (JobState.RUNNING, started_at),
        (JobState.SUCCESS, succeeded_at),
    )
    moves: list[JobEvent] = []
    state = waited_as
    for to_state, at in path:
        if at is not None:
            moves.append(
                JobEvent(at=at, from_state=state, to_state=to_state, attempt=attempt, worker_id=worker_id)
            )
            state = to_state
    return tuple(moves)


def kept(history: tuple[JobEvent, ...], moves: tuple[JobEvent, ...]) -> tuple[JobEvent, ...]:
    """``history`` with ``moves`` behind it, within its limit."""
    return (*history, *moves)[-HISTORY_LIMIT:]
