"""SharedCounters from the text of ``/metrics``."""

import math
from datetime import timedelta

from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.adapters.telemetry.prometheus import Reading
from schedora.application.ports.metrics import Counter, Gauge, Histogram
from schedora.application.ports.process_reports import ProcessReport
from schedora.application.ports.shared_counters import Series
from schedora.entrypoints.cli.top.exposition import Exposed, read
from tests.builders import NOON
from tests.unit.adapters.telemetry.test_prometheus import NOTHING, PROCESS

ODD = 'quo"te\\back\nline, {brace}'


def test_it_reads_what_the_server_writes() -> None:
    local_counters = LocalCounters()
    for counter, count in (
        (Counter.JOBS_CREATED, 9),
        (Counter.JOBS_SUCCEEDED, 5),
        (Counter.JOBS_FAILED, 3),
        (Counter.JOBS_DEAD, 1),
    ):
        local_counters.count(counter, ODD, count)
    for status, seconds in (("SUCCESS", 0.002), ("RETRYING", 0.7)):
        local_counters.observe(Histogram.JOB_DURATION, (ODD, status), [timedelta(seconds=seconds)])
    reading = Reading(**NOTHING | {"totals": local_counters.drain()})
    [(job_type, told)] = read(reading.text().decode()).totals.items()
    assert job_type == ODD
    assert (told.created, told.succeeded, told.failed, told.dead) == (9, 5, 3, 1)
    assert (told.took[0.001], told.took[0.005], told.took[1.0], told.took[math.inf]) == (0, 1, 2, 2)


def test_what_is_not_understood_is_passed_over() -> None:
    lines = (
        "# HELP jobs_created_total x",
        'jobs_created_total{job_type="a"} many',
        'jobs_created_total_of_another_kind{job_type="a"} 1',
        'jobs_created_total{queue="a"} 1',
        "jobs_created_total 1",
        'job_duration_seconds_bucket{job_type="a",le="x"} 1',
        "jobs_created_total{",
        'jobs_created_total{job_type="b"} 2 1700000000',
        'jobs_created_total{job_type="b"} 1e3',
        'jobs_created_total{job_type="b"} NaN',
        'worker_slots_used{process="w1"} NaN',
        'worker_slots_used{process="w1"} +Inf',
    )
    assert read("\n".join(lines)).slots_used == {}
    found = read("\n".join(lines)).totals
    assert {name: one.created for name, one in found.items() if one.created} == {"b": 1002}
    assert all(one.took == {} for one in found.values())


def test_nothing() -> None:
    assert read("") == Exposed()


def test_how_many_slots_are_used() -> None:
    gauge = Series(Gauge.WORKER_SLOTS_USED, ())
    report = ProcessReport(
        identity=PROCESS, started_at=NOON, seen_at=NOON, clock_at=NOON, gauges={gauge: 7.0}
    )
    text = Reading(**NOTHING | {"processes": [report]}).text().decode()
    assert read(text).slots_used == {PROCESS.name: 7}
