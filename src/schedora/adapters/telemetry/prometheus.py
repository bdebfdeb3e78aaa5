"""Metrics in the words of Prometheus: its text exposition format, every name present from the start."""

from collections import Counter as Counts
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

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
from schedora.adapters.telemetry.label_limit import OTHER, admitted, known_values
from schedora.adapters.telemetry.local_counters import BUCKETS
from schedora.adapters.telemetry.renamed_metrics import under_new_names, with_old_names
from schedora.application.ports.metrics import (
    COUNTER_LABEL,
    GAUGE_LABELS,
    HISTOGRAM_LABELS,
    Counter,
    Gauge,
    Histogram,
)
from schedora.application.ports.process_reports import ProcessReport
from schedora.application.ports.queues import QueueStats, Stats
from schedora.application.ports.shared_counters import Series
from schedora.domain.job_state import HELD, WAITING, JobState
from schedora.domain.process import ProcessIdentity
from schedora.domain.worker import Worker, WorkerState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

COUNTER_HELP: Mapping[str, str] = {
    Counter.JOBS_CREATED: "Jobs stored.",
    Counter.JOBS_SUCCEEDED: "Jobs that succeeded.",
    Counter.JOBS_FAILED: "Attempts that failed.",
    Counter.JOBS_RETRIED: "Failed attempts that another attempt follows.",
    Counter.JOBS_DEAD: "Jobs that failed for good.",
    Counter.JOBS_TIMED_OUT: "Attempts that their timeout ended.",
    Counter.JOBS_POISONED: "Jobs that failed for good as they took too many workers with them.",
    Counter.JOBS_SNOOZED: "Runs that asked to be run again later.",
    Counter.JOBS_RELEASED: "Jobs that their worker gave back unfinished.",
    Counter.JOBS_CANCELED: "Jobs that were canceled.",
    Counter.JOBS_RESCUED: "Leases of lost workers that a reaper ended.",
    Counter.JOBS_SYNC_MATCHED: "Jobs leased to an idle worker as they were stored.",
    Counter.JOBS_FENCED: "Writes dropped because their lease had gone.",
    Counter.QUEUE_ENQUEUED: "Jobs put into a queue.",
    Counter.WAKEUPS: "Hints that reached a worker.",
    Counter.WAKEUPS_MISSED: "Jobs that only a poll found while hints were known to arrive.",
    Counter.RUN_LOCK_CONFLICTS: "Locks of running jobs that another lease held.",
    Counter.WORKERS_LOST: "Workers that were declared lost.",
    Counter.WORKER_LOSS_SUPPRESSED: "Silent workers not declared lost, for Redis heard them.",
    Counter.EVENTS_DROPPED: "Events lost before they could be told to whoever listened.",
    Counter.EVENT_STREAMS_DROPPED: "Event streams ended because their client did not read.",
    Counter.RUN_LOGS_DROPPED: "Runs whose log lines and spans found no room on their way to the store.",
    Counter.REQUEST_SPANS_DROPPED: "Spans of requests that found no room on their way to the store, or no store.",
    Counter.TRACE_SPANS_EXPORTED: "Spans that the collector has taken.",
    Counter.TRACE_SPANS_LOST: "Spans that found no room on their way to the collector, or that it did not take.",
    http_metrics.REQUESTS: "Requests answered by this process.",
}

HISTOGRAM_HELP: Mapping[str, str] = {
    Histogram.JOB_DURATION: "From the start of an attempt to its end.",
    Histogram.JOB_QUEUE_LATENCY: "From the moment a job is due to its claim.",
    Histogram.JOB_COMPLETION_LATENCY: "From the end of an attempt to the store's acceptance of it.",
    Histogram.BATCH_SYNC_DURATION: "From a worker's question to the store's answer.",
    Histogram.BATCH_SYNC_CLAIMED: "Jobs that a batch brought to a worker, of those that claim.",
    Histogram.BATCH_SYNC_COMPLETED: "Ends that a batch brought to the store, of those that complete.",
    Histogram.REAPER_ROUND: "How long a reaper's round took.",
    http_metrics.DURATION: "From a request's arrival at this process to its answer.",
}

GAUGE_HELP: Mapping[Gauge, str] = {
    Gauge.EVENT_LOOP_LAG: "The longest that the event loop kept a timer waiting in the last 15 seconds.",
    Gauge.LAST_PROGRESS: "Since the store answered a worker.",
    Gauge.WORKER_SLOTS: "Handlers that a worker runs at once at most.",
    Gauge.WORKER_SLOTS_USED: "Handlers that a worker runs.",
    Gauge.STUCK_THREADS: "Threads whose job was given up, and that do not return.",
    Gauge.WORKER_JOBS_BUFFERED: "Jobs under a worker's lease that wait for a slot.",
    Gauge.WORKER_CLAIM_RATE: "Jobs that a worker took, a second, over the last ten seconds or so.",
    Gauge.COMPLETIONS_PENDING: "Ends that a worker keeps until the store has accepted them.",
    Gauge.REAPER_LAST_ROUND: "When a reaper finished a round last, in seconds since 1970.",
    Gauge.DATABASE_CONNECTIONS: "Connections that a process has open.",
    Gauge.DATABASE_CONNECTIONS_MAX: "Connections that a process opens at most.",
    Gauge.DATABASE_CONNECTIONS_WAITING: "Calls that wait for a connection.",
    Gauge.REDIS_UP: "1 while Redis is there, as far as a process knows.",
    Gauge.HTTP_CONNECTIONS: "Connections to an API, whatever they are for.",
    Gauge.EVENT_STREAMS_OPEN: "Event streams that an API serves.",
    Gauge.REQUESTS_WAITING: "Requests that wait for a job to end.",
    Gauge.TRACE_EXPORT_WAITING: "Runs and spans that a process has yet to export.",
    Gauge.SERIES_UNFLUSHED: "Series that a process counted and has not handed over to the store.",
}

LABELS: Mapping[str, tuple[str, ...]] = {
    **{counter.value: (label,) if label else () for counter, label in COUNTER_LABEL.items()},
    **{histogram.value: labels for histogram, labels in HISTOGRAM_LABELS.items()},
    http_metrics.REQUESTS: ("method", "route", "status"),
    http_metrics.DURATION: ("method", "route"),
}


@frozen(kw_only=True)
class OwnReading(Collector):
    """What a process knows without the store: ``totals`` of its own answers over HTTP, and how its gauges stand.

    The other names are left out: a counter that is shown as zero is taken for one that began anew.
    """

    totals: Mapping[Series, float]
    process: ProcessIdentity
    gauges: Mapping[Series, float]

    def text(self) -> bytes:
        return generate_latest(self)

    def collect(self) -> Iterable[Metric]:
        yield from _families(self.totals, [http_metrics.REQUESTS, http_metrics.DURATION])
        yield from with_old_names(_process_gauges([(self.process.kind, self.process.name, self.gauges)]))


@frozen(kw_only=True)
class Reading(Collector):
    """All that is known at one moment: ``totals`` are counters and histograms, the rest is as it stands."""

    totals: Mapping[Series, float]
    stats: Stats
    workers: Collection[Worker]
    processes: Sequence[ProcessReport]
    version: str
    schema: str
    label_values_max: int
    """So many queues are shown by themselves."""

    def text(self) -> bytes:
        return generate_latest(self)

    def collect(self) -> Iterable[Metric]:
        return with_old_names(self._families())

    def _families(self) -> Iterable[Metric]:
        running = [((self.version, self.schema), 1)]
        yield _gauge(
            "schedora_info", "The version that answers, and its schema.", running, "version", "schema"
        )
        yield from _families(under_new_names(self.totals), [*COUNTER_HELP, *HISTOGRAM_HELP])
        yield from self._queues()
        age = [((), self.stats.age.total_seconds())]
        yield _gauge("queue_stats_age_seconds", "How long ago the jobs in the queues were counted.", age)
        unhandled = [((), len(self.stats.unhandled_types))]
        yield _gauge("unhandled_types", "Types of ready jobs that no live worker knows.", unhandled)
        yield from self._workers()
        kinds = Counts((one.identity.kind.value, one.identity.version) for one in self.processes)
        yield _gauge(
            "processes", "Processes that told of themselves lately.", kinds.items(), "kind", "version"
        )
        skews = [
            ((one.identity.kind.value, name), one.clock_skew.total_seconds())
            for name, one in _named(self.processes)
        ]
        yield _gauge(
            "clock_skew_seconds",
            "How far a process's clock is ahead of the store's.",
            skews,
            "kind",
            "process",
        )
        yield from _process_gauges(
            (one.identity.kind, name, one.gauges) for name, one in _named(self.processes)
        )

    def _queues(self) -> Iterable[Metric]:
        queues = self._bounded()
        for name, text, read in (
            ("queue_length", "Jobs that wait.", _waiting),
            ("queue_dlq_length", "Jobs that failed for good.", _dead),
            ("queue_running", "Jobs that a worker holds.", _held),
            ("queue_oldest_ready_seconds", "For how long the oldest ready job has been due.", _oldest_ready),
            ("queue_paused", "1 while the queue is paused.", _paused),
        ):
            told = [((queue,), read(stats)) for queue, stats in sorted(queues.items())]
            yield _gauge(name, text, told, "queue_name")

    def _bounded(self) -> Mapping[str, QueueStats]:
        """Few queues: what is beyond them is one."""
        by_queue = self.stats.by_queue
        own = admitted(by_queue, known_values(self.totals)["queue"], values_max=self.label_values_max)
        queues = {name: stats for name, stats in by_queue.items() if name in own}
        beyond = [stats for name, stats in by_queue.items() if name not in own]
        return {**queues, OTHER: _together([*beyond, queues.get(OTHER, QueueStats())])} if beyond else queues

    def _workers(self) -> Iterable[Metric]:
        states = Counts(worker.status for worker in self.workers)
        told = [((state.value,), states[state]) for state in WorkerState]
        yield _gauge("workers", "Workers by state.", told, "status")
        for name, state in (("workers_active", WorkerState.ACTIVE), ("workers_stale", WorkerState.STALE)):
            yield _gauge(name, f"Workers that are {state}.", [((), states[state])])


def _waiting(stats: QueueStats) -> float:
    return sum(stats.by_status.get(state, 0) for state in WAITING)


def _dead(stats: QueueStats) -> float:
    return stats.by_status.get(JobState.DEAD, 0)


def _held(stats: QueueStats) -> float:
    return sum(stats.by_status.get(state, 0) for state in HELD)


def _oldest_ready(stats: QueueStats) -> float:
    return 0.0 if stats.oldest_ready is None else stats.oldest_ready.total_seconds()


def _paused(stats: QueueStats) -> float:
    return float(stats.paused)


def _together(queues: Sequence[QueueStats]) -> QueueStats:
    by_status: Counts[JobState] = Counts()
    for stats in queues:
        by_status.update(stats.by_status)
    ages = [stats.oldest_ready for stats in queues if stats.oldest_ready is not None]
    paused = any(stats.paused for stats in queues)
    return QueueStats(by_status=by_status, paused=paused, oldest_ready=max(ages, default=None))


def _named(processes: Sequence[ProcessReport]) -> Iterable[tuple[str, ProcessReport]]:
    """Each under a name of its own: of several with one name, the one that began last has it."""
    last = {(one.identity.kind, one.identity.name): one for one in sorted(processes, key=_started_at)}
    for one in processes:
        identity = one.identity
        if last[identity.kind, identity.name] is one:
            yield identity.name, one
        else:
            yield f"{identity.name}#{identity.process_id.hex[-8:]}", one


def _started_at(report: ProcessReport) -> datetime:
    return report.started_at


def _process_gauges(told: Iterable[tuple[str, str, Mapping[Series, float]]]) -> Iterable[Metric]:
    labels = {gauge.value: ("kind", "process", *GAUGE_LABELS[gauge]) for gauge in Gauge}
    families = {
        gauge.value: GaugeMetricFamily(gauge.value, GAUGE_HELP[gauge], labels=labels[gauge])
        for gauge in Gauge
    }
    for kind, name, gauges in told:
        for series, value in under_new_names(gauges).items():
            if (family := families.get(series.name)) is not None:  # else of another version
                own = dict(series.labels)
                family.add_metric(
                    [kind, name, *(own.get(label, "") for label in GAUGE_LABELS[Gauge(series.name)])], value
                )
    return families.values()


def _gauge(name: str, text: str, told: Iterable[tuple[Sequence[str], float]], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in told:
        family.add_metric(values, value)
    return family


def _families(totals: Mapping[Series, float], names: Iterable[str]) -> Iterable[Metric]:
    by_name: dict[str, list[tuple[dict[str, str], float]]] = {}
    for series, value in totals.items():
        by_name.setdefault(series.name, []).append((dict(series.labels), value))
    types = {labels["job_type"] for labels, _ in by_name.get(Counter.JOBS_CREATED, ())}
    for name in names:
        if name in COUNTER_HELP:
            yield _counter(name, COUNTER_HELP[name], by_name.get(name, []), types)
        else:
            yield _histogram(name, HISTOGRAM_HELP[name], by_name)


def _counter(
    name: str, text: str, samples: list[tuple[dict[str, str], float]], types: Collection[str]
) -> Metric:
    """Whatever can happen to a job of one of ``types`` is counted from zero: the first time would not be seen as a change
    otherwise.
    """
    labels = LABELS[name]
    family = CounterMetricFamily(name, text, labels=labels)
    if not labels and not samples:
        samples = [({}, 0)]
    if labels == ("job_type",):
        known = {given["job_type"] for given, _ in samples}
        samples = [*samples, *(({"job_type": job_type}, 0) for job_type in sorted({*types} - known))]
    for given, value in samples:
        family.add_metric([given[label] for label in labels], value)
    return family


def _histogram(name: str, text: str, by_name: Mapping[str, list[tuple[dict[str, str], float]]]) -> Metric:
    labels = LABELS[name]
    family = HistogramMetricFamily(name, text, labels=labels)
    buckets: dict[tuple[str, ...], list[tuple[str, float]]] = {}
    if not labels and f"{name}_bucket" not in by_name:
        buckets[()] = [(str(bound), 0) for bound in (*BUCKETS[Histogram(name)], "+Inf")]
    for given, value in by_name.get(f"{name}_bucket", []):
        buckets.setdefault(tuple(given[label] for label in labels), []).append((given["le"], value))
    sums = {tuple(given[label] for label in labels): value for given, value in by_name.get(f"{name}_sum", [])}
    for values, told in buckets.items():
        family.add_metric(
            list(values), sorted(told, key=lambda bucket: float(bucket[0])), sums.get(values, 0)
        )
    return family
