from datetime import timedelta
from typing import Any
from uuid import UUID

from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families

from schedora.adapters.telemetry.http_metrics import HttpMetrics
from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.adapters.telemetry.prometheus import OwnReading, Reading
from schedora.application.ports.metrics import COUNTER_LABEL, Counter, Histogram
from schedora.application.ports.process_reports import ProcessReport
from schedora.application.ports.queues import QueueStats, Stats
from schedora.application.ports.shared_counters import Series
from schedora.domain.ids import ProcessId
from schedora.domain.job_state import JobState
from schedora.domain.process import ProcessIdentity, ProcessKind
from schedora.domain.worker import Worker, WorkerState
from tests.builders import NOON, an_identity, an_incarnation

PROCESS = ProcessIdentity(
    process_id=ProcessId(UUID(int=1)),
    kind=ProcessKind.WORKER,
    name="w1",
    hostname="host",
    pid=7,
    version="1.2.3",
)
NONE = Stats(by_queue={}, unhandled_types=())
VALUES_MAX = 20
NOTHING: dict[str, Any] = {
    "totals": {}, "stats": NONE, "workers": (), "processes": (), "version": "1.2.3", "schema": "0007",
    "label_values_max": VALUES_MAX,
}  # fmt: skip


def a_worker(status: WorkerState) -> Worker:
    return Worker(
        identity=an_identity(),
        incarnation=an_incarnation(),
        status=status,
        registered_at=NOON,
        last_heartbeat=NOON,
    )


def samples(**reading: Any) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and values of labels."""
    text = Reading(**NOTHING | reading).text().decode()
    return {
        (sample.name, tuple(value for name, value in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_before_anything_happened_there_are_zeros_only_where_there_are_no_labels() -> None:
    told = samples()
    assert told.pop(("schedora_info", ("0007", "1.2.3"))) == 1
    assert set(told.values()) == {0}
    unlabelled = {counter for counter in Counter if COUNTER_LABEL[counter] is None}
    plain = {name for name, labels in told if not labels}
    assert plain >= unlabelled | {"workers_active", "workers_stale", "unhandled_types"}
    assert {name for name, labels in told if labels} == {
        "workers", "batch_sync_duration_seconds_bucket", "batch_sync_claimed_jobs_bucket",
        "batch_sync_completed_jobs_bucket", "job_completion_latency_seconds_bucket",
        "exchange_duration_seconds_bucket", "exchange_claimed_jobs_bucket", "exchange_completed_jobs_bucket",
    }  # fmt: skip


def test_gauges_are_what_stands() -> None:
    mail = {
        JobState.PENDING: 2,
        JobState.RETRYING: 1,
        JobState.SCHEDULED: 4,
        JobState.RUNNING: 8,
        JobState.DEAD: 16,
    }
    stats = Stats(by_queue={"mail": QueueStats(by_status=mail), "empty": QueueStats()}, unhandled_types=())
    workers = [a_worker(state) for state in (*WorkerState, WorkerState.ACTIVE)]

    told = samples(stats=stats, workers=workers)

    assert told["queue_length", ("mail",)] == 3
    assert told["queue_dlq_length", ("mail",)] == 16
    assert told["queue_length", ("empty",)] == told["queue_dlq_length", ("empty",)] == 0
    assert (told["workers_active", ()], told["workers_stale", ()]) == (2, 1)


def test_buckets_come_in_order_however_they_were_kept() -> None:
    local_counters = LocalCounters()
    local_counters.observe(Histogram.JOB_DURATION, ("work", "SUCCESS"), [timedelta(seconds=2)])
    backwards = dict(reversed(local_counters.drain().items()))

    text = Reading(**NOTHING | {"totals": backwards}).text().decode()

    ends = [
        float(line.partition('le="')[2].partition('"')[0])
        for line in text.splitlines()
        if line.startswith("job_duration_seconds_bucket")
    ]
    assert ends == sorted(ends)
    assert ends[-1] == float("inf")


def test_what_can_happen_to_a_job_is_counted_from_zero() -> None:
    local_counters = LocalCounters()
    local_counters.count(Counter.JOBS_CREATED, "work", 2)
    local_counters.count(Counter.JOBS_DEAD, "work")

    told = samples(totals=local_counters.drain())

    by_type = {name: value for (name, labels), value in told.items() if labels == ("work",)}
    from_zero = {counter.value for counter, label in COUNTER_LABEL.items() if label == "job_type"}
    assert by_type.keys() == from_zero | {"jobs_handed_back_total"}, "and under a name that it had"
    assert {name: value for name, value in by_type.items() if value} == {
        "jobs_created_total": 2,
        "jobs_dead_total": 1,
    }


def test_labels_may_contain_anything() -> None:
    local_counters = LocalCounters()
    strange = 'a "quoted" \\ type\nof two lines é'
    local_counters.count(Counter.JOBS_CREATED, strange)

    assert samples(totals=local_counters.drain())["jobs_created_total", (strange,)] == 1


def test_a_process_alone_tells_only_of_its_answers() -> None:
    http = HttpMetrics()
    http.observe("GET", "/jobs", 200, 0.5)

    text = OwnReading(totals=http.read(), process=PROCESS, gauges={Series("redis_up", ()): 0}).text().decode()

    told = {
        sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples
    }
    assert told["http_requests_total"].value == told["http_request_duration_seconds_count"].value == 1
    assert told["redis_up"].value == 0
    assert told["redis_up"].labels == {"kind": "worker", "process": "w1"}
    assert set(told) == {
        "http_requests_total", "http_request_duration_seconds_bucket",
        "http_request_duration_seconds_count", "http_request_duration_seconds_sum", "redis_up",
    }  # fmt: skip


def a_report(number: int, started_minute: int = 0, **identity: Any) -> ProcessReport:
    at = NOON + timedelta(minutes=started_minute)
    return ProcessReport(
        identity=evolve(PROCESS, process_id=ProcessId(UUID(int=number)), **identity),
        started_at=at,
        seen_at=at,
        clock_at=at + timedelta(seconds=number),
        gauges={
            Series("worker_slots", ()): number,
            Series("database_connections", (("pool", "shared"), ("state", "idle"))): 2,
            Series("a_gauge_of_another_version", ()): 3,
        },
    )


def test_each_process_has_its_gauges() -> None:
    told = samples(processes=[a_report(1), a_report(2, kind=ProcessKind.API, name="a1")])

    assert told["worker_slots", ("worker", "w1")] == 1
    assert told["worker_slots", ("api", "a1")] == 2
    assert told["database_connections", ("worker", "shared", "w1", "idle")] == 2
    assert told["clock_skew_seconds", ("api", "a1")] == 2
    assert (told["processes", ("worker", "1.2.3")], told["processes", ("api", "1.2.3")]) == (1, 1)
    assert not any(name == "a_gauge_of_another_version" for name, _ in told)


def test_of_processes_with_one_name_the_last_one_has_it() -> None:
    told = samples(processes=[a_report(1, 1), a_report(2, 0), a_report(3, 0, kind=ProcessKind.UP)])

    assert told["worker_slots", ("worker", "w1")] == 1
    assert told["worker_slots", ("worker", "w1#00000002")] == 2
    assert told["worker_slots", ("up", "w1")] == 3


def test_queues_beyond_the_limit_are_one_and_those_that_are_known_stay() -> None:
    names = [f"q{number:04}" for number in range(VALUES_MAX + 10)]
    ages = {name: timedelta(seconds=number) for number, name in enumerate(names)}
    stats = Stats(
        by_queue={
            name: QueueStats(
                by_status={JobState.PENDING: 1}, oldest_ready=ages[name], paused=name == names[-1]
            )
            for name in names
        },
        unhandled_types=("a", "b"),
    )
    counted = {Series("queue_enqueued_total", (("queue_name", names[-2]),)): 1.0}

    told = samples(stats=stats, totals=counted)

    lengths = {labels[0]: value for (name, labels), value in told.items() if name == "queue_length"}
    assert len(lengths) == VALUES_MAX + 1
    assert lengths[names[-2]] == 1
    assert lengths["other"] == 10
    assert told["queue_oldest_ready_seconds", ("other",)] == ages[names[-1]].total_seconds()
    assert told["queue_paused", ("other",)] == 1
    assert told["unhandled_types", ()] == 2
