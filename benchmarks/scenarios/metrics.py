"""Metrics that several scenarios share."""

from __future__ import annotations

from benchmarks.scenarios.scenario import Metric

JOBS_PER_SECOND = Metric(key="jobs_per_second", title="jobs/s")
DRAIN_METRICS = (
    JOBS_PER_SECOND,
    Metric(key="wal_bytes_per_job", title="WAL bytes a job", more_is_better=False),
    Metric(key="dead_rows_per_job", title="dead rows a job", digits=2, more_is_better=False),
    Metric(key="hot_share", title="HOT share of updates", digits=2),
    Metric(key="worker_megabytes", title="worker RSS, MB", more_is_better=False),
)
