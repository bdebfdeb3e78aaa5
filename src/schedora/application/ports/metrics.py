"""What is counted and timed. Names, labels and meanings are those that users see at ``/metrics``."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from schedora.application.ports.shared_counters import Series


class Counter(StrEnum):
    """Each with one label, named in ``COUNTER_LABEL``; None for those without."""

    JOBS_CREATED = "jobs_created_total"
    JOBS_SUCCEEDED = "jobs_succeeded_total"
    JOBS_FAILED = "jobs_failed_total"
    """Failed attempts: those that led to a retry and those that led to DEAD."""
    JOBS_RETRIED = "jobs_retried_total"
    JOBS_DEAD = "jobs_dead_total"
    JOBS_TIMED_OUT = "jobs_timed_out_total"
    """Of the failed attempts: those that their timeout ended."""
    JOBS_POISONED = "jobs_poisoned_total"
    """Of the dead jobs: those that took too many workers with them."""
    JOBS_SNOOZED = "jobs_snoozed_total"
    JOBS_RELEASED = "jobs_released_total"
    """Runs, and claims that never ran, that their worker gave back unfinished."""
    JOBS_CANCELED = "jobs_canceled_total"
    JOBS_RESCUED = "jobs_rescued_total"
    """Leases of lost workers that a reaper has ended."""
    JOBS_SYNC_MATCHED = "jobs_sync_matched_total"
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
    WORKERS_LOST = "workers_lost_total"
    """Workers that were declared lost."""
    WORKER_LOSS_SUPPRESSED = "worker_loss_suppressed_total"
    """Workers whose row had grown old and that were not declared lost, for they were heard elsewhere."""
    EVENTS_DROPPED = "events_dropped_total"
    """Events that were lost before they could be told to whoever listened."""
    EVENT_STREAMS_DROPPED = "event_streams_dropped_total"
    """Event streams ended because their client did not read."""
    RUN_LOGS_DROPPED = "run_logs_dropped_total"
    """Log lines and spans of runs that found no room on their way to the store."""
    TRACE_SPANS_EXPORTED = "trace_spans_exported_total"
    """Spans that the collector has taken."""
    TRACE_SPANS_LOST = "trace_spans_lost_total"
    """Spans that found no room on their way to the collector, or that it did not take."""

    REQUEST_SPANS_DROPPED = "request_spans_dropped_total"
    """Spans of requests that found no room on their way to the store, or no store."""


COUNTER_LABEL: Mapping[Counter, str | None] = {
    Counter.JOBS_CREATED: "job_type",
    Counter.JOBS_SUCCEEDED: "job_type",
    Counter.JOBS_FAILED: "job_type",
    Counter.JOBS_RETRIED: "job_type",
    Counter.JOBS_DEAD: "job_type",
    Counter.JOBS_TIMED_OUT: "job_type",
    Counter.JOBS_POISONED: "job_type",
    Counter.JOBS_SNOOZED: "job_type",
    Counter.JOBS_RELEASED: "job_type",
    Counter.JOBS_CANCELED: "job_type",
    Counter.JOBS_RESCUED: None,
    Counter.JOBS_SYNC_MATCHED: None,
    Counter.JOBS_FENCED: None,
    Counter.QUEUE_ENQUEUED: "queue_name",
    Counter.WAKEUPS: None,
    Counter.WAKEUPS_MISSED: None,
    Counter.RUN_LOCK_CONFLICTS: None,
    Counter.WORKERS_LOST: None,
    Counter.WORKER_LOSS_SUPPRESSED: None,
    Counter.EVENTS_DROPPED: None,
    Counter.EVENT_STREAMS_DROPPED: None,
    Counter.RUN_LOGS_DROPPED: None,
    Counter.REQUEST_SPANS_DROPPED: None,
    Counter.TRACE_SPANS_EXPORTED: None,
    Counter.TRACE_SPANS_LOST: None,
}


class Histogram(StrEnum):
    """Of spans in seconds, and of jobs by the batch."""

    JOB_DURATION = "job_duration_seconds"
    """Labels job_type, status. From the start of an attempt to its end."""
    JOB_QUEUE_LATENCY = "job_queue_latency_seconds"
    """Label queue. From the moment a job is due to its claim."""
    JOB_COMPLETION_LATENCY = "job_completion_latency_seconds"
    """From the end of an attempt to the store's acceptance of that."""
    BATCH_SYNC_DURATION = "batch_sync_duration_seconds"
    """From a worker's question to the store's answer."""
    BATCH_SYNC_CLAIMED = "batch_sync_claimed_jobs"
    """Of batches that claim: how many jobs they brought."""
    BATCH_SYNC_COMPLETED = "batch_sync_completed_jobs"
    """Of batches that complete: how many jobs they brought to the store."""
    REAPER_ROUND = "reaper_round_duration_seconds"
    """Label status: ``success``, or ``failed`` where the store was away."""


HISTOGRAM_LABELS: Mapping[Histogram, tuple[str, ...]] = {
    Histogram.JOB_DURATION: ("job_type", "status"),
    Histogram.JOB_QUEUE_LATENCY: ("queue",),
    Histogram.JOB_COMPLETION_LATENCY: (),
    Histogram.BATCH_SYNC_DURATION: (),
    Histogram.BATCH_SYNC_CLAIMED: (),
    Histogram.BATCH_SYNC_COMPLETED: (),
    Histogram.REAPER_ROUND: ("status",),
}


class Gauge(StrEnum):
    """What a process tells of itself as it stands, shown with its kind and name."""

    EVENT_LOOP_LAG = "event_loop_lag_seconds"
    """The longest that the event loop has kept a timer waiting lately."""
    LAST_PROGRESS = "last_progress_seconds"
    """Since a worker had an answer of the store."""
    WORKER_SLOTS = "worker_slots"
    WORKER_SLOTS_USED = "worker_slots_used"
    STUCK_THREADS = "stuck_threads"
    """Of a worker's slots: those whose handler was given up and does not end."""
    WORKER_JOBS_BUFFERED = "worker_jobs_buffered"
    """Jobs under a worker's lease that wait for a slot."""
    WORKER_CLAIM_RATE = "worker_claims_per_second"
    """Jobs that a worker takes, of late."""
    COMPLETIONS_PENDING = "completions_pending"
    """Completions that the store has not accepted yet."""
    REAPER_LAST_ROUND = "reaper_last_round_timestamp_seconds"
    """When a reaper finished a round last, by its own clock."""
    DATABASE_CONNECTIONS = "database_connections"
    """Labels pool, state: ``in_use`` or ``idle``."""
    DATABASE_CONNECTIONS_MAX = "database_connections_max"
    DATABASE_CONNECTIONS_WAITING = "database_connections_waiting"
    """Calls that wait for a connection."""
    REDIS_UP = "redis_up"
    """1 while Redis is there, as far as known; 0 while the circuit breaker is open."""
    HTTP_CONNECTIONS = "http_connections"
    EVENT_STREAMS_OPEN = "event_streams_open"
    REQUESTS_WAITING = "http_requests_waiting"
    """Requests that wait for a job to end."""
    TRACE_EXPORT_WAITING = "trace_export_waiting"
    """Runs and spans that wait for their way to the collector."""
    SERIES_UNFLUSHED = "metrics_unflushed_series"
    """Series counted in this process and not yet handed over to the store."""


GAUGE_LABELS: Mapping[Gauge, tuple[str, ...]] = {
    **dict.fromkeys(Gauge, ()),
    Gauge.DATABASE_CONNECTIONS: ("pool", "state"),
    Gauge.DATABASE_CONNECTIONS_MAX: ("pool",),
    Gauge.DATABASE_CONNECTIONS_WAITING: ("pool",),
}
"""Beside ``kind`` and ``process``."""


class Metrics(Protocol):
    """Thread-safe; never blocks."""

    def count(self, counter: Counter, label: str = "", amount: int = 1) -> None: ...

    def observe(self, histogram: Histogram, labels: tuple[str, ...], spans: Iterable[timedelta]) -> None: ...

    def measure(self, histogram: Histogram, labels: tuple[str, ...], values: Iterable[float]) -> None:
        """As ``observe``, of what are numbers already: seconds, or jobs."""
        ...


class Gauges(Protocol):
    """Where the parts of a process say how what they have can be read, any time, at once."""

    def register(self, gauge: Gauge, read: Callable[[], float | None], labels: tuple[str, ...] = ()) -> None:
        """``read`` answers None while there is nothing to tell. In place of what was registered before."""
        ...

    def read(self) -> Mapping[Series, float]:
        """How all of them stand now."""
        ...
