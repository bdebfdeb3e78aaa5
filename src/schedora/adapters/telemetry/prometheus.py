"""Metrics in the words of Prometheus: its text exposition format, every name present from the start."""

from collections.abc import Collection, Iterable, Mapping

from attrs import frozen
from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from schedora.adapters.telemetry import http_metrics
from schedora.application.ports.metrics import COUNTER_LABEL, HISTOGRAM_LABELS, Counter, Histogram
from schedora.application.ports.queues import Stats
from schedora.application.ports.totals import Series
from schedora.domain.job_state import WAITING, JobState
from schedora.domain.worker import Worker, WorkerState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

COUNTER_HELP: Mapping[str, str] = {
    Counter.JOBS_CREATED: "Jobs stored.",
    Counter.JOBS_SUCCEEDED: "Jobs that succeeded.",
    Counter.JOBS_FAILED: "Attempts that failed.",
    Counter.JOBS_RETRIED: "Failed attempts that another attempt follows.",
    Counter.JOBS_DEAD: "Jobs that failed for good.",
    Counter.JOBS_MATCHED: "Jobs leased to an idle worker as they were stored.",
    Counter.JOBS_FENCED: "Writes dropped because their lease had gone.",
    Counter.QUEUE_ENQUEUED: "Jobs put into a queue.",
    Counter.WAKEUPS: "Hints that reached a worker.",
    Counter.WAKEUPS_MISSED: "Jobs that only a poll found while hints were known to arrive.",
    Counter.RUN_LOCK_CONFLICTS: "Locks of running jobs that another lease held.",
    Counter.WORKERS_SPARED: "Silent workers not declared lost, for Redis heard them.",
    Counter.EVENTS_DROPPED: "Events lost before they could be told to whoever listened.",
    Counter.EVENT_STREAMS_DROPPED: "Event streams ended because their client did not read.",
    Counter.TRAILS_DROPPED: "Runs whose log lines and spans found no room on their way to the store.",
    http_metrics.REQUESTS: "Requests answered by this process.",
}

HISTOGRAM_HELP: Mapping[str, str] = {
    Histogram.JOB_DURATION: "From the start of an attempt to its end.",
    Histogram.JOB_QUEUE_LATENCY: "From the moment a job is due to its claim.",
    http_metrics.DURATION: "From a request's arrival at this process to its answer.",
}

LABELS: Mapping[str, tuple[str, ...]] = {
    **{counter.value: (label,) if label else () for counter, label in COUNTER_LABEL.items()},
    **{histogram.value: labels for histogram, labels in HISTOGRAM_LABELS.items()},
    http_metrics.REQUESTS: ("method", "route", "status"),
    http_metrics.DURATION: ("method", "route"),
}


@frozen(kw_only=True)
class OwnReading(Collector):
    """What a process knows without the store: ``totals`` of its own answers over HTTP.

    The other names are left out: a counter that is shown as zero is taken for one that began anew.
    """

    totals: Mapping[Series, float]

    def text(self) -> bytes:
        return generate_latest(self)

    def collect(self) -> Iterable[Metric]:
        return _families(self.totals, [http_metrics.REQUESTS, http_metrics.DURATION])


@frozen(kw_only=True)
class Reading(Collector):
    """All that is known at one moment: ``totals`` are counters and histograms, the rest is as it stands."""

    totals: Mapping[Series, float]
    stats: Stats
    workers: Collection[Worker]

    def text(self) -> bytes:
        return generate_latest(self)

    def collect(self) -> Iterable[Metric]:
        yield from _families(self.totals, [*COUNTER_HELP, *HISTOGRAM_HELP])
        length = GaugeMetricFamily("queue_length", "Jobs that wait.", labels=["queue_name"])
        dead = GaugeMetricFamily("queue_dlq_length", "Jobs that failed for good.", labels=["queue_name"])
        for name, queue in sorted(self.stats.by_queue.items()):
            length.add_metric([name], sum(queue.by_status.get(state, 0) for state in WAITING))
            dead.add_metric([name], queue.by_status.get(JobState.DEAD, 0))
        yield length
        yield dead
        for name, state in (("workers_active", WorkerState.ACTIVE), ("workers_stale", WorkerState.STALE)):
            count = sum(worker.status is state for worker in self.workers)
            yield GaugeMetricFamily(name, f"Workers that are {state}.", value=count)


def _families(totals: Mapping[Series, float], names: Iterable[str]) -> Iterable[Metric]:
    by_name: dict[str, list[tuple[dict[str, str], float]]] = {}
    for series, value in totals.items():
        by_name.setdefault(series.name, []).append((dict(series.labels), value))
    for name in names:
        if name in COUNTER_HELP:
            yield _counter(name, COUNTER_HELP[name], by_name.get(name, []))
        else:
            yield _histogram(name, HISTOGRAM_HELP[name], by_name)


def _counter(name: str, text: str, samples: list[tuple[dict[str, str], float]]) -> Metric:
    labels = LABELS[name]
    family = CounterMetricFamily(name, text, labels=labels)
    if not labels and not samples:
        samples = [({}, 0)]
    for given, value in samples:
        family.add_metric([given[label] for label in labels], value)
    return family


def _histogram(name: str, text: str, by_name: Mapping[str, list[tuple[dict[str, str], float]]]) -> Metric:
    labels = LABELS[name]
    family = HistogramMetricFamily(name, text, labels=labels)
    buckets: dict[tuple[str, ...], list[tuple[str, float]]] = {}
    for given, value in by_name.get(f"{name}_bucket", []):
        buckets.setdefault(tuple(given[label] for label in labels), []).append((given["le"], value))
    sums = {tuple(given[label] for label in labels): value for given, value in by_name.get(f"{name}_sum", [])}
    for values, told in buckets.items():
        family.add_metric(
            list(values), sorted(told, key=lambda bucket: float(bucket[0])), sums.get(values, 0)
        )
    return family
