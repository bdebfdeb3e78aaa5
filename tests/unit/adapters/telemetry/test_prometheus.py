from datetime import timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from schedora.adapters.telemetry.http_metrics import HttpMetrics
from schedora.adapters.telemetry.prometheus import OwnReading, Reading
from schedora.adapters.telemetry.tally import Tally
from schedora.application.ports.metrics import Counter, Histogram
from schedora.application.ports.queues import QueueStats, Stats
from schedora.domain.job_state import JobState
from schedora.domain.worker import Worker, WorkerState
from tests.builders import NOON, an_identity, an_incarnation

NONE = Stats(by_queue={}, unhandled_types=())


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
    defaults: dict[str, Any] = {"totals": {}, "stats": NONE, "workers": ()}
    text = Reading(**defaults | reading).text().decode()
    return {
        (sample.name, tuple(value for name, value in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_before_anything_happened_there_are_zeros_only_where_there_are_no_labels() -> None:
    assert samples() == {
        ("jobs_fenced_total", ()): 0,
        ("jobs_matched_total", ()): 0,
        ("run_lock_conflicts_total", ()): 0,
        ("wakeups_missed_total", ()): 0,
        ("events_dropped_total", ()): 0,
        ("event_streams_dropped_total", ()): 0,
        ("trails_dropped_total", ()): 0,
        ("wakeups_total", ()): 0,
        ("workers_active", ()): 0,
        ("workers_spared_total", ()): 0,
        ("workers_stale", ()): 0,
    }


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
    tally = Tally()
    tally.observe(Histogram.JOB_DURATION, ("work", "SUCCESS"), [timedelta(seconds=2)])
    backwards = dict(reversed(tally.drain().items()))

    text = Reading(totals=backwards, stats=NONE, workers=()).text().decode()

    ends = [
        float(line.partition('le="')[2].partition('"')[0])
        for line in text.splitlines()
        if line.startswith("job_duration_seconds_bucket")
    ]
    assert ends == sorted(ends)
    assert ends[-1] == float("inf")


def test_labels_may_contain_anything() -> None:
    tally = Tally()
    strange = 'a "quoted" \\ type\nof two lines é'
    tally.count(Counter.JOBS_CREATED, strange)

    assert samples(totals=tally.drain())["jobs_created_total", (strange,)] == 1


def test_a_process_alone_tells_only_of_its_answers() -> None:
    http = HttpMetrics()
    http.observe("GET", "/jobs", 200, 0.5)

    text = OwnReading(totals=http.read()).text().decode()

    told = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert told["http_requests_total"] == told["http_request_duration_seconds_count"] == 1
    assert set(told) == {
        "http_requests_total", "http_request_duration_seconds_bucket",
        "http_request_duration_seconds_count", "http_request_duration_seconds_sum",
    }  # fmt: skip
