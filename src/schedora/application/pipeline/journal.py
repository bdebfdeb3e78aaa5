"""What the log tells of each attempt that has come to its end: failures always, the rest to who asks for detail."""

import logging
from collections.abc import Iterable

from schedora.application.log import Logger
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.job_state import JobState
from schedora.domain.trace import TraceContext

NAME = "schedora.worker"

log = Logger(NAME)
_detail = logging.getLogger(NAME)


def tell_completions(settled: Iterable[tuple[ClaimedJob, Completion]]) -> None:
    """To be called once the store has accepted them."""
    # Thousands of jobs a second succeed: nobody should pay for lines that nobody sees.
    in_detail = _detail.isEnabledFor(logging.DEBUG)
    for job, completion in settled:
        if in_detail or completion.error is not None:
            _tell(job, completion)


def _tell(job: ClaimedJob, completion: Completion) -> None:
    trace = TraceContext.parse(job.traceparent)
    told: dict[str, object] = {
        "job_id": str(job.job_id),
        "job_type": job.type,
        "worker_id": job.worker_id,
        "attempt": job.current_attempt,
        "trace_id": None if trace is None else trace.trace_id,
    }
    if job.workflow_id is not None:
        told["workflow_id"] = str(job.workflow_id)
    if completion.started_at is not None:
        span = completion.ended_at - completion.started_at
        told["duration_ms"] = round(span.total_seconds() * 1000, 3)
    if completion.error is not None:
        told |= {"kind": completion.error.kind, "error": completion.error.message}
    match completion.status:
        case JobState.SUCCESS:
            log.debug("job succeeded", **told)
        case JobState.RETRYING:
            log.warning("attempt failed, another follows", **told, retry_at=str(completion.scheduled_at))
        case JobState.DEAD:
            log.error("job failed for good", **told)
        case _:
            log.debug("job waits again", **told, reason=completion.moves[-1].reason)
