"""Spans and bounds that a worker keeps."""

from datetime import timedelta

from attrs import frozen

from schedora.application.pipeline.poll_scheduler import PollPolicy


@frozen(kw_only=True)
class WorkerLimits:
    shutdown_timeout: timedelta = timedelta(seconds=30)
    poll_policy: PollPolicy = PollPolicy()
    flush: timedelta = timedelta(milliseconds=5)
    """How long an outcome may wait for company while more jobs are at hand."""
    lock_after: timedelta = timedelta(milliseconds=100)
    """How long a run lasts before it takes its lock."""
    report: timedelta = timedelta(milliseconds=250)
    """The least time between reports of progress."""
    lease_check: timedelta = timedelta(seconds=2)
    """How often leases are checked while jobs run, beside the hints."""
    lease_check_idle: timedelta = timedelta(seconds=30)
    """How often they are checked while none runs."""
    live_for: timedelta = timedelta(seconds=60)
    """How long after a sign of life the store can't have given this worker up."""
    worker_deaths_max: int = 3
    """How many workers a job may lose before it is dead."""
    replaceable: bool = False
    """Whether a new process replaces a worker that ends because it needs a restart."""
