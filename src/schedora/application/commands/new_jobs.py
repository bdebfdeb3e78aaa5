"""From requests to jobs that a store can take."""

from collections.abc import Mapping, Sequence

from schedora.application.ports.jobs import NewJob
from schedora.application.ports.randomness import Randomness
from schedora.application.telemetry.sampling import Sampler
from schedora.domain.ids import JobId
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.job_state import JobState
from schedora.domain.trace import new_traceparents

TRACE_BITS = 192


def new_jobs(
    requests: Sequence[JobRequest],
    job_ids: Sequence[JobId],
    *,
    randomness: Randomness,
    upstream: Mapping[JobId, Job],
    sampler: Sampler,
) -> list[NewJob]:
    """``upstream`` has every job that one of these depends on.

    A job whose request has no idempotency key gets one: its id, for keys that ascend suit an index better than
    those of chance.
    """
    traceless = sum(request.trace is None for request in requests)
    takes = None if sampler.ratio >= 1 else sampler.takes
    own = iter(
        new_traceparents(traceless, randomness.bits(TRACE_BITS * traceless), takes) if traceless else ()
    )
    return [
        NewJob(
            job_id=job_id,
            request=request,
            idempotency_key=request.idempotency_key or str(job_id),
            traceparent=next(own) if request.trace is None else sampler.followed(request.trace).traceparent,
            fingerprint=request.fingerprint(),
            waits_for=sum(upstream[cause].status is not JobState.SUCCESS for cause in request.depends_on)
            if request.depends_on
            else 0,
        )
        for job_id, request in zip(job_ids, requests, strict=True)
    ]
