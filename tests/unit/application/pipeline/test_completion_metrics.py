"""What completions mean for the metrics."""

from datetime import timedelta

import attrs
import pytest

from schedora.application.pipeline.completion_metrics import (
    count_canceled,
    count_claims,
    count_completions,
    count_fenced,
    time_handover,
    time_sync,
)
from schedora.application.ports.job_queue import ClaimRequest, Start, SyncAnswer, SyncBatch
from schedora.application.ports.metrics import Counter, Histogram
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from tests.builders import HOUR, NOON, SECOND, a_claimed_job, a_job, a_job_id, a_request, settled
from tests.unit.application.bench import RecordedMetrics

RETRIED = {
    (Counter.JOBS_FAILED, "letter"): 1,
    (Counter.JOBS_RETRIED, "letter"): 1,
    (Counter.QUEUE_ENQUEUED, "mail"): 1,
}
BACK = {(Counter.QUEUE_ENQUEUED, "mail"): 1}


@pytest.mark.parametrize(
    ("outcome", "counted", "status"),
    [
        (Succeeded(), {(Counter.JOBS_SUCCEEDED, "letter"): 1}, "success"),
        (Failed(kind="Oops", message=""), RETRIED, "failed"),
        (TimedOut(timeout=HOUR), {**RETRIED, (Counter.JOBS_TIMED_OUT, "letter"): 1}, "failed"),
        (WorkerLost(message=""), RETRIED, "failed"),
        (
            Failed(kind="Oops", message="", retryable=False),
            {(Counter.JOBS_FAILED, "letter"): 1, (Counter.JOBS_DEAD, "letter"): 1},
            "failed",
        ),
        (Snoozed(delay=HOUR), {**BACK, (Counter.JOBS_SNOOZED, "letter"): 1}, None),
        (Released(reason=""), {**BACK, (Counter.JOBS_RELEASED, "letter"): 1}, None),
    ],
)
def test_each_outcome_is_counted_once(outcome: Outcome, counted: object, status: str | None) -> None:
    metrics = RecordedMetrics()
    count_completions(metrics, [settled(a_claimed_job(type="letter", queue="mail"), outcome)])
    assert metrics.counted == counted
    timed = [(Histogram.JOB_DURATION, ("letter", status), SECOND)] if status else []
    assert metrics.observed == timed


def test_all_of_a_batch_are_counted_together() -> None:
    metrics = RecordedMetrics()
    job = a_claimed_job(type="letter", queue="mail")
    outcomes: list[Outcome] = [Succeeded(), Failed(kind="Oops", message="")] * 2
    count_completions(metrics, [settled(job, outcome) for outcome in outcomes])
    assert metrics.counted == {
        (Counter.JOBS_SUCCEEDED, "letter"): 2,
        **{counter: 2 * amount for counter, amount in RETRIED.items()},
    }
    assert sorted(labels for _, labels, _ in metrics.observed) == [
        *[("letter", "failed")] * 2, *[("letter", "success")] * 2,
    ]  # fmt: skip


def test_a_job_that_took_too_many_workers_with_it_is_counted_as_poison() -> None:
    metrics = RecordedMetrics()
    job = a_claimed_job(type="letter", worker_deaths=2)
    count_completions(metrics, [settled(job, WorkerLost(message=""))])
    assert metrics.counted == {
        (Counter.JOBS_FAILED, "letter"): 1,
        (Counter.JOBS_DEAD, "letter"): 1,
        (Counter.JOBS_POISONED, "letter"): 1,
    }


def test_run_that_never_started_has_no_duration() -> None:
    metrics = RecordedMetrics()
    count_completions(metrics, [settled(a_claimed_job(started_at=None), WorkerLost(message=""))])
    assert metrics.observed == []
    assert metrics.counted == {(Counter.QUEUE_ENQUEUED, "default"): 1}


@pytest.mark.parametrize("status", [JobState.CANCELED, JobState.SCHEDULED, JobState.RUNNING, JobState.FAILED])
def test_no_completion_ends_elsewhere(status: JobState) -> None:
    completion = attrs.evolve(settled(a_claimed_job(), Succeeded()), status=status)
    with pytest.raises(ValueError, match=f"no completion ends in {status}"):
        count_completions(RecordedMetrics(), [completion])


def test_claims_tell_how_long_jobs_were_due() -> None:
    metrics = RecordedMetrics()
    waited = [a_claimed_job(queue=q, claimed_at=NOON + s * SECOND) for q, s in (("a", 3), ("b", 0))]
    count_claims(metrics, waited)
    assert metrics.observed == [
        (Histogram.JOB_QUEUE_LATENCY, ("a",), 3 * SECOND),
        (Histogram.JOB_QUEUE_LATENCY, ("b",), timedelta(0)),
    ]


def test_a_job_that_waited_for_others_is_not_taken_for_one_that_was_due_all_the_while() -> None:
    metrics = RecordedMetrics()
    upstream = (a_job_id(),)
    fields = {"claimed_at": NOON + 3 * SECOND, "depends_on": upstream}
    count_claims(metrics, [a_claimed_job(**fields)])
    assert metrics.observed == []
    count_claims(metrics, [a_claimed_job(waited_as=JobState.RETRYING, **fields)])
    assert metrics.observed == [(Histogram.JOB_QUEUE_LATENCY, ("default",), 3 * SECOND)]


def test_fenced_writes_are_counted_where_there_are_any() -> None:
    metrics = RecordedMetrics()
    count_fenced(metrics, 0)
    assert not metrics.counted
    count_fenced(metrics, 2)
    assert metrics.counted == {(Counter.JOBS_FENCED, ""): 2}


def test_what_was_canceled_is_counted_by_type() -> None:
    metrics = RecordedMetrics()
    count_canceled(metrics, [a_job(request=a_request(type=name)) for name in ("a", "b", "a")])
    assert metrics.counted == {(Counter.JOBS_CANCELED, "a"): 2, (Counter.JOBS_CANCELED, "b"): 1}


def test_a_batch_is_timed_and_its_jobs_are_counted_at_once() -> None:
    metrics = RecordedMetrics()
    job = a_claimed_job()
    ends = [settled(job, Succeeded())]
    claim = ClaimRequest(
        owner=job.owner, worker_id=job.worker_id, queues=(), types=("work",), limit=5, start_count=5
    )

    time_sync(
        metrics, SyncBatch(completions=ends, claim=claim), SyncAnswer(at=NOON, claimed=(job, job)), SECOND
    )
    time_sync(metrics, SyncBatch(completions=ends * 3), SyncAnswer(at=NOON), 2 * SECOND)
    time_sync(
        metrics,
        SyncBatch(starts=[Start(job_id=job.job_id, lease_id=job.lease_id, started_at=NOON)], claim=claim),
        SyncAnswer(at=NOON),
        3 * SECOND,
    )
    time_sync(metrics, SyncBatch(claim=claim), SyncAnswer(at=NOON), 4 * SECOND)

    assert metrics.observed == [(Histogram.BATCH_SYNC_DURATION, (), n * SECOND) for n in (1, 2, 3)]
    assert metrics.measured == [
        (Histogram.BATCH_SYNC_CLAIMED, (), 2),
        (Histogram.BATCH_SYNC_COMPLETED, (), 1),
        (Histogram.BATCH_SYNC_COMPLETED, (), 3),
        (Histogram.BATCH_SYNC_CLAIMED, (), 0),
    ]


def test_what_was_accepted_tells_how_long_it_waited_for_that() -> None:
    metrics = RecordedMetrics()
    accepted, fenced = settled(a_claimed_job(), Succeeded()), settled(a_claimed_job(), Succeeded())
    now = accepted.ended_at + 2 * SECOND
    time_handover(metrics, [accepted, fenced], {accepted.lease_id}, now)
    time_handover(metrics, [fenced], set(), now)
    assert metrics.observed == [(Histogram.JOB_COMPLETION_LATENCY, (), 2 * SECOND)]
