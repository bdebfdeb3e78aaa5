"""What claims and completions mean for the metrics, counted when the store has accepted them.

By the batch: the jobs of one batch have few types and queues between them.
"""

from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from schedora.application.ports.metrics import Counter, Histogram, Metrics
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.job_state import JobState


def count_claims(metrics: Metrics, jobs: Iterable[ClaimedJob]) -> None:
    waited: defaultdict[str, list[timedelta]] = defaultdict(list)
    for job in jobs:
        waited[job.queue].append(job.claimed_at - job.scheduled_at)
    for queue, spans in waited.items():
        metrics.observe(Histogram.JOB_QUEUE_LATENCY, (queue,), spans)


def count_completions(metrics: Metrics, completions: Iterable[Completion]) -> None:
    """Counts what accepted completions did."""
    counts: Counts[tuple[Counter, str]] = Counts()
    durations: defaultdict[tuple[str, str], list[timedelta]] = defaultdict(list)
    succeeded: defaultdict[str, list[timedelta]] = defaultdict(list)
    for completion in completions:
        job_type = completion.type
        if completion.status is JobState.SUCCESS and completion.started_at is not None:
            succeeded[job_type].append(completion.ended_at - completion.started_at)
            continue
        counts.update(_counted(completion))
        if completion.started_at is not None and completion.error is not None:
            durations[job_type, "failed"].append(completion.ended_at - completion.started_at)
    for job_type, spans in succeeded.items():
        counts[Counter.JOBS_SUCCEEDED, job_type] += len(spans)
        durations[job_type, "success"] = spans
    for (counter, label), amount in counts.items():
        metrics.count(counter, label, amount)
    for labels, spans in durations.items():
        metrics.observe(Histogram.JOB_DURATION, labels, spans)


def _counted(completion: Completion) -> list[tuple[Counter, str]]:
    job_type, queue = completion.type, completion.queue
    match completion.status:
        case JobState.DEAD:
            return [(Counter.JOBS_FAILED, job_type), (Counter.JOBS_DEAD, job_type)]
        case JobState.RETRYING:
            return [
                (Counter.JOBS_FAILED, job_type),
                (Counter.JOBS_RETRIED, job_type),
                (Counter.QUEUE_ENQUEUED, queue),
            ]
        case JobState.PENDING:
            return [(Counter.QUEUE_ENQUEUED, queue)]
        case _:
            raise ValueError(f"no completion ends in {completion.status}")


def count_fenced(metrics: Metrics, amount: int) -> None:
    if amount:
        metrics.count(Counter.JOBS_FENCED, amount=amount)
