"""What completions mean for the metrics, counted when the store has accepted them."""

from collections.abc import Iterable

from schedora.application.ports.metrics import Counter, Histogram, Metrics
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.job_state import JobState


def count_claims(metrics: Metrics, jobs: Iterable[ClaimedJob]) -> None:
    for job in jobs:
        metrics.observe(Histogram.JOB_QUEUE_LATENCY, (job.queue,), job.claimed_at - job.scheduled_at)


def count_completion(metrics: Metrics, completion: Completion) -> None:
    """Counts what one accepted completion did."""
    job_type = completion.type
    failed = completion.error is not None
    match completion.status:
        case JobState.SUCCESS:
            metrics.count(Counter.JOBS_SUCCEEDED, job_type)
        case JobState.DEAD:
            metrics.count(Counter.JOBS_FAILED, job_type)
            metrics.count(Counter.JOBS_DEAD, job_type)
        case JobState.RETRYING:
            metrics.count(Counter.JOBS_FAILED, job_type)
            metrics.count(Counter.JOBS_RETRIED, job_type)
            metrics.count(Counter.QUEUE_ENQUEUED, completion.queue)
        case JobState.PENDING:
            metrics.count(Counter.QUEUE_ENQUEUED, completion.queue)
        case _:
            raise ValueError(f"no completion ends in {completion.status}")
    if completion.started_at is not None and (failed or completion.status is JobState.SUCCESS):
        status = "failed" if failed else "success"
        span = completion.ended_at - completion.started_at
        metrics.observe(Histogram.JOB_DURATION, (job_type, status), span)


def count_fenced(metrics: Metrics, amount: int) -> None:
    if amount:
        metrics.count(Counter.JOBS_FENCED, amount=amount)
