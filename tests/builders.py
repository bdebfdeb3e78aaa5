"""Values for tests: a test spells out only the field that it is about."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid4

import attrs

from schedora.application.ports.jobs import NewJob
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, completed, settle
from schedora.domain.ids import (
    IncarnationId,
    JobId,
    JsonText,
    LeaseId,
    LeaseToken,
    WorkerId,
    WorkflowId,
    uuid7,
)
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.job_state import JobState
from schedora.domain.lease import Lease
from schedora.domain.outcome import Failed, Outcome, Succeeded
from schedora.domain.retry import RetryPolicy
from schedora.domain.trace import TraceContext
from schedora.domain.worker import WorkerIdentity
from schedora.domain.workflow import JobCounts, Workflow

NOON: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND: Final = timedelta(seconds=1)
HOUR: Final = timedelta(hours=1)
TRACE: Final = TraceContext(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")

_numbers = count(1)


def _filled(fields: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    return defaults | fields


def an_ordered_id() -> UUID:
    """Greater than all that were made before."""
    return uuid7(1_900_000_000_000, next(_numbers))


def a_job_id() -> JobId:
    return JobId(an_ordered_id())


def a_workflow_id() -> WorkflowId:
    return WorkflowId(an_ordered_id())


def a_lease_id() -> LeaseId:
    return LeaseId(uuid4())


def an_incarnation() -> IncarnationId:
    return IncarnationId(uuid4())


def a_request(**fields: Any) -> JobRequest:
    return JobRequest(**_filled(fields, type="work"))


def a_new_job(request: JobRequest | None = None, *, trace: TraceContext = TRACE, **fields: Any) -> NewJob:
    request = request or a_request()
    return NewJob(
        **_filled(
            fields,
            job_id=a_job_id(),
            request=request,
            idempotency_key=request.idempotency_key,
            traceparent=(request.trace or trace).traceparent,
            fingerprint=request.fingerprint(),
        )
    )


def a_lease(**fields: Any) -> Lease:
    return Lease(
        **_filled(
            fields,
            lease_id=a_lease_id(),
            token=LeaseToken(1),
            owner=an_incarnation(),
            worker_id=WorkerId("w1"),
            claimed_at=NOON + SECOND,
        )
    )


def a_job(status: JobState = JobState.PENDING, **fields: Any) -> Job:
    """A record as it looks in this state after the shortest way there, unless ``fields`` say otherwise."""
    return attrs.evolve(_shortest_way_to(status), **fields)


def _shortest_way_to(status: JobState) -> Job:
    match status:
        case JobState.PENDING:
            return Job.submitted(a_request(), job_id=a_job_id(), trace=TRACE, now=NOON)
        case JobState.SCHEDULED:
            lease = a_lease()
            return attrs.evolve(
                _shortest_way_to(JobState.PENDING),
                status=status,
                lease=lease,
                lease_token=lease.token,
                worker_id=lease.worker_id,
                claimed_at=lease.claimed_at,
            )
        case JobState.RUNNING:
            started_at = NOON + 2 * SECOND
            lease = a_lease(started_at=started_at)
            scheduled = _shortest_way_to(JobState.SCHEDULED)
            return attrs.evolve(scheduled, status=status, lease=lease, attempt=1, started_at=started_at)
        case JobState.SUCCESS:
            return _ended_with(Succeeded())
        case JobState.RETRYING:
            return _ended_with(Failed(kind="Oops", message="it failed"))
        case JobState.DEAD:
            return _ended_with(Failed(kind="Oops", message="it failed", retryable=False))
        case JobState.CANCELED:
            return _shortest_way_to(JobState.PENDING).canceled(now=NOON + 3 * SECOND, reason="unwanted")
        case JobState.FAILED:
            raise ValueError("no job is ever at rest as FAILED")


def _ended_with(outcome: Outcome) -> Job:
    job = a_job(JobState.RUNNING)
    return completed(job, settled(as_claimed(job), outcome))


def as_claimed(job: Job) -> ClaimedJob:
    """What the holder of a held job knows, where the job is at its first attempt."""
    assert job.lease is not None
    return a_claimed_job(
        job_id=job.job_id,
        lease_id=job.lease.lease_id,
        lease_token=job.lease.token,
        owner=job.lease.owner,
        worker_id=job.lease.worker_id,
        claimed_at=job.lease.claimed_at,
        started_at=job.lease.started_at,
        retry=job.request.retry,
        workflow_id=job.request.workflow_id,
    )


def settled(claimed: ClaimedJob, outcome: Outcome, **fields: Any) -> Completion:
    """What the outcome makes of the job, a second after its start."""
    return settle(
        claimed,
        outcome,
        **_filled(
            fields,
            started_at=claimed.started_at,
            ended_at=NOON + 3 * SECOND,
            unit_random=0.0,
            worker_deaths_max=3,
        ),
    )


def a_claimed_job(**fields: Any) -> ClaimedJob:
    request = a_request()
    return ClaimedJob(
        **_filled(
            fields,
            job_id=a_job_id(),
            lease_id=a_lease_id(),
            lease_token=LeaseToken(1),
            owner=an_incarnation(),
            worker_id=WorkerId("w1"),
            type=request.type,
            queue=request.queue,
            priority=request.priority,
            payload=request.payload,
            waited_as=JobState.PENDING,
            attempt=0,
            retry_count=0,
            worker_deaths=0,
            retry=RetryPolicy(),
            timeout=request.timeout,
            workflow_id=None,
            key=None,
            depends_on=(),
            traceparent=TRACE.traceparent,
            created_at=NOON,
            scheduled_at=NOON,
            claimed_at=NOON + SECOND,
            started_at=NOON + 2 * SECOND,
        )
    )


def a_workflow(**fields: Any) -> Workflow:
    """Its ``counts`` may be given as a dictionary of what is not zero."""
    counts = fields.pop("counts", {})
    return Workflow(
        **_filled(
            fields,
            workflow_id=a_workflow_id(),
            name=f"workflow {next(_numbers)}",
            config=JsonText("{}"),
            created_at=NOON,
            counts=counts if isinstance(counts, JobCounts) else JobCounts(**counts),
        )
    )


def an_identity(**fields: Any) -> WorkerIdentity:
    return WorkerIdentity(**_filled(fields, worker_id=WorkerId("w1"), types=("work",)))
