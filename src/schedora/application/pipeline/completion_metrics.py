"""What claims and completions mean for the metrics, counted when the store has accepted them.

By the batch: the jobs of one batch have few types and queues between them.
"""

from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from schedora.application.ports.job_queue import SyncAnswer, SyncBatch
from schedora.application.ports.metrics import Counter, Histogram, Metrics
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import POISON, TIMEOUT, WORKER_LOST, Completion
from schedora.domain.ids import LeaseId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState


def count_claims(metrics: Metrics, jobs: Iterable[ClaimedJob]) -> None:
    waited: defaultdict[str, list[timedelta]] = defaultdict(list)
    for job in jobs:
        if (span := job.was_due_for) is not None:
            waited[job.queue].append(span)
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
        counts[Counter.JOBS_SUCCEEDED, job_type] = len(spans)
        durations[job_type, "success"] = spans
    for (counter, label), amount in counts.items():
        metrics.count(counter, label, amount)
    for labels, spans in durations.items():
        metrics.observe(Histogram.JOB_DURATION, labels, spans)


def _counted(completion: Completion) -> list[tuple[Counter, str]]:
    job_type, queue = completion.type, completion.queue
    match completion.status:
        case JobState.DEAD:
            return [(Counter.JOBS_DEAD, job_type), *_failed(completion)]
        case JobState.RETRYING:
            return [
                (Counter.JOBS_RETRIED, job_type),
                (Counter.QUEUE_ENQUEUED, queue),
                *_failed(completion),
            ]
        case JobState.PENDING:
            return [(Counter.QUEUE_ENQUEUED, queue), *_given_back(completion)]
        case _:
            raise ValueError(f"no completion ends in {completion.status}")


def _failed(completion: Completion) -> list[tuple[Counter, str]]:
    counted = [(Counter.JOBS_FAILED, completion.type)]
    kind = None if completion.error is None else completion.error.kind
    if kind == TIMEOUT:
        counted.append((Counter.JOBS_TIMED_OUT, completion.type))
    elif kind == POISON:
        counted.append((Counter.JOBS_POISONED, completion.type))
    return counted


def _given_back(completion: Completion) -> list[tuple[Counter, str]]:
    if completion.scheduled_at is not None:
        return [(Counter.JOBS_SNOOZED, completion.type)]
    if completion.moves[-1].reason == WORKER_LOST:
        return []
    return [(Counter.JOBS_RELEASED, completion.type)]


def time_sync(metrics: Metrics, batch: SyncBatch, answer: SyncAnswer, took: timedelta) -> None:
    """Nothing of a look that finds nothing: an idle worker would write to the store for each."""
    if not (batch.completions or batch.starts or answer.claimed):
        return
    metrics.observe(Histogram.BATCH_SYNC_DURATION, (), [took])
    if batch.claim is not None:
        metrics.measure(Histogram.BATCH_SYNC_CLAIMED, (), [len(answer.claimed)])
    if batch.completions:
        metrics.measure(Histogram.BATCH_SYNC_COMPLETED, (), [len(batch.completions)])


def time_handover(
    metrics: Metrics, completions: Iterable[Completion], accepted: Collection[LeaseId], now: datetime
) -> None:
    """How long those that were accepted ``now`` had been waiting for it, by the store's clock."""
    if waited := [now - one.ended_at for one in completions if one.lease_id in accepted]:
        metrics.observe(Histogram.JOB_COMPLETION_LATENCY, (), waited)


def count_canceled(metrics: Metrics, jobs: Iterable[Job]) -> None:
    for job_type, amount in Counts(job.request.type for job in jobs).items():
        metrics.count(Counter.JOBS_CANCELED, job_type, amount)


def count_fenced(metrics: Metrics, amount: int) -> None:
    if amount:
        metrics.count(Counter.JOBS_FENCED, amount=amount)
