"""Metrics that several scenarios share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios.scenario import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

_NANOSECONDS_PER_MILLISECOND = 1_000_000

JOBS_PER_SECOND = Metric(key="jobs_per_second", title="jobs/s")
DRAIN_METRICS = (
    JOBS_PER_SECOND,
    Metric(key="wal_bytes_per_job", title="WAL bytes a job", more_is_better=False),
    Metric(key="dead_rows_per_job", title="dead rows a job", digits=2, more_is_better=False),
    Metric(key="hot_share", title="HOT share of updates", digits=2),
    Metric(key="worker_megabytes", title="worker RSS, MB", more_is_better=False),
)
PICKUP_P50 = Metric(key="p50_ms", title="p50, ms", digits=1, more_is_better=False)
PICKUP_P99 = Metric(key="p99_ms", title="p99, ms", digits=1, more_is_better=False)
PROCESSOR_MS_PER_JOB = Metric(
    key="processor_ms_per_job", title="processor ms a job", digits=2, more_is_better=False
)
WAKEUPS_PER_JOB = Metric(key="wakeups_per_job", title="wake-ups a job", digits=3, more_is_better=False)


def milliseconds(latencies: Sequence[int]) -> list[float]:
    """Of the nanoseconds that workers have counted."""
    return [latency / _NANOSECONDS_PER_MILLISECOND for latency in latencies]
