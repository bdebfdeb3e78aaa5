"""What is counted and timed. Names, labels and meanings are those that users see at ``/metrics``."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Protocol


class Counter(StrEnum):
    """Each with one label, named in ``COUNTER_LABEL``; None for those without."""

    JOBS_CREATED = "jobs_created_total"
    JOBS_SUCCEEDED = "jobs_succeeded_total"
    JOBS_FAILED = "jobs_failed_total"
    """Failed attempts: those that led to a retry and those that led to DEAD."""
    JOBS_RETRIED = "jobs_retried_total"
    JOBS_DEAD = "jobs_dead_total"
    JOBS_MATCHED = "jobs_matched_total"
    """Jobs that were leased to an idle worker as they were stored."""
    JOBS_FENCED = "jobs_fenced_total"
    """Writes that came after their lease had gone, and were dropped."""
    QUEUE_ENQUEUED = "queue_enqueued_total"
    WAKEUPS = "wakeups_total"
    """Hints that reached a worker."""
    WAKEUPS_MISSED = "wakeups_missed_total"
    """Jobs that only a poll found, more than a second late, while hints were known to arrive."""
    RUN_LOCK_CONFLICTS = "run_lock_conflicts_total"
    """Locks of running jobs that another lease held than the one that runs it."""
    WORKERS_SPARED = "workers_spared_total"
    """Workers whose row had grown old and that were not declared lost, for they were heard elsewhere."""
    EVENTS_DROPPED = "events_dropped_total"
    """Events that were lost before they could be told to whoever listened."""
    EVENT_STREAMS_DROPPED = "event_streams_dropped_total"
    """Event streams ended because their client did not read."""
    TRAILS_DROPPED = "trails_dropped_total"
    """Log lines and spans of runs that found no room on their way to the store."""


COUNTER_LABEL: Mapping[Counter, str | None] = {
    Counter.JOBS_CREATED: "job_type",
    Counter.JOBS_SUCCEEDED: "job_type",
    Counter.JOBS_FAILED: "job_type",
    Counter.JOBS_RETRIED: "job_type",
    Counter.JOBS_DEAD: "job_type",
    Counter.JOBS_MATCHED: None,
    Counter.JOBS_FENCED: None,
    Counter.QUEUE_ENQUEUED: "queue_name",
    Counter.WAKEUPS: None,
    Counter.WAKEUPS_MISSED: None,
    Counter.RUN_LOCK_CONFLICTS: None,
    Counter.WORKERS_SPARED: None,
    Counter.EVENTS_DROPPED: None,
    Counter.EVENT_STREAMS_DROPPED: None,
    Counter.TRAILS_DROPPED: None,
}


class Histogram(StrEnum):
    JOB_DURATION = "job_duration_seconds"
    """Labels job_type, status. From the start of an attempt to its end."""
    JOB_QUEUE_LATENCY = "job_queue_latency_seconds"
    """Label queue. From the moment a job is due to its claim."""


HISTOGRAM_LABELS: Mapping[Histogram, tuple[str, ...]] = {
    Histogram.JOB_DURATION: ("job_type", "status"),
    Histogram.JOB_QUEUE_LATENCY: ("queue",),
}


class Metrics(Protocol):
    """Thread-safe; never blocks."""

    def count(self, counter: Counter, label: str = "", amount: int = 1) -> None: ...

    def observe(self, histogram: Histogram, labels: tuple[str, ...], spans: Iterable[timedelta]) -> None: ...
