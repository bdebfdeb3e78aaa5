"""What completions mean for the metrics."""

from datetime import timedelta

import attrs
import pytest

from schedora.application.pipeline.ledger import count_claims, count_completions, count_fenced
from schedora.application.ports.metrics import Counter, Histogram
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, HandedBack, Outcome, Snoozed, Succeeded, TimedOut, WorkerLost
from tests.builders import HOUR, NOON, SECOND, a_claimed_job, settled
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
        (TimedOut(timeout=HOUR), RETRIED, "failed"),
        (WorkerLost(message=""), RETRIED, "failed"),
        (
            Failed(kind="Oops", message="", retryable=False),
            {(Counter.JOBS_FAILED, "letter"): 1, (Counter.JOBS_DEAD, "letter"): 1},
            "failed",
        ),
        (Snoozed(delay=HOUR), BACK, None),
        (HandedBack(reason=""), BACK, None),
    ],
)
def test_each_outcome_is_counted_once(outcome: Outcome, counted: object, status: str | None) -> None:
    metrics = RecordedMetrics()
    count_completions(metrics, [settled(a_claimed_job(type="letter", queue="mail"), outcome)])
    assert metrics.counted == counted
    timed = [(Histogram.JOB_DURATION, ("letter", status), SECOND)] if status else []
    assert metrics.observed == timed


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


def test_fenced_writes_are_counted_where_there_are_any() -> None:
    metrics = RecordedMetrics()
    count_fenced(metrics, 0)
    assert not metrics.counted
    count_fenced(metrics, 2)
    assert metrics.counted == {(Counter.JOBS_FENCED, ""): 2}
