import threading
from datetime import timedelta

import pytest

from schedora.adapters.telemetry.local_counters import BUCKETS, LocalCounters
from schedora.application.ports.metrics import COUNTER_LABEL, HISTOGRAM_LABELS, Counter, Histogram
from schedora.application.ports.shared_counters import Series

SPANS = ("work", "SUCCESS")
LABELS = (("job_type", "work"), ("status", "SUCCESS"))


def test_counts_are_told_once() -> None:
    local_counters = LocalCounters()
    local_counters.count(Counter.JOBS_CREATED, "work")
    local_counters.count(Counter.JOBS_CREATED, "work", 2)
    local_counters.count(Counter.JOBS_CREATED, "fax")
    local_counters.count(Counter.JOBS_FENCED)

    assert local_counters.drain() == {
        Series("jobs_created_total", (("job_type", "work"),)): 3,
        Series("jobs_created_total", (("job_type", "fax"),)): 1,
        Series("jobs_fenced_total", ()): 1,
    }
    assert local_counters.drain() == {}


@pytest.mark.parametrize("counter", Counter)
def test_each_counter_has_its_label(counter: Counter) -> None:
    local_counters = LocalCounters()
    local_counters.count(counter, "x")

    [series] = local_counters.drain()

    assert series.name == counter.value
    label = COUNTER_LABEL[counter]
    assert series.labels == (() if label is None else ((label, "x"),))


@pytest.mark.parametrize("histogram", Histogram)
def test_spans_are_told_in_cumulative_buckets(histogram: Histogram) -> None:
    local_counters = LocalCounters()
    labels = tuple("a label" for _ in HISTOGRAM_LABELS[histogram])
    ends = BUCKETS[histogram]
    for seconds in (0, ends[0], ends[1], ends[-1] + 1):
        local_counters.observe(histogram, labels, [timedelta(seconds=seconds)])

    told = local_counters.drain()

    counts = [value for series, value in told.items() if series.name.endswith("_bucket")]
    assert counts == [2, *[3] * (len(ends) - 1), 4]
    assert [value for series, value in told.items() if series.name.endswith("_count")] == [4]
    [total] = [value for series, value in told.items() if series.name.endswith("_sum")]
    assert total == pytest.approx(ends[0] + ends[1] + ends[-1] + 1)
    assert list(ends) == sorted(ends)


def test_the_labels_of_a_histogram() -> None:
    local_counters = LocalCounters()
    local_counters.observe(Histogram.JOB_DURATION, SPANS, [timedelta(seconds=1)])

    told = local_counters.drain()

    assert Series("job_duration_seconds_sum", LABELS) in told
    assert Series("job_duration_seconds_bucket", (*LABELS, ("le", "+Inf"))) in told
    assert Series("job_duration_seconds_bucket", (*LABELS, ("le", "0.001"))) in told


def test_what_was_given_back_is_told_again_with_what_came_meanwhile() -> None:
    local_counters = LocalCounters()
    local_counters.count(Counter.JOBS_DEAD, "work")
    local_counters.observe(Histogram.JOB_DURATION, SPANS, [timedelta(seconds=1)])
    drained = local_counters.drain()
    local_counters.count(Counter.JOBS_DEAD, "work")

    local_counters.give_back(drained)
    told = local_counters.drain()

    assert told[Series("jobs_dead_total", (("job_type", "work"),))] == 2
    assert told[Series("job_duration_seconds_count", LABELS)] == 1
    assert local_counters.drain() == {}


def test_threads_lose_nothing() -> None:
    local_counters = LocalCounters()
    told: list[float] = []

    def count() -> None:
        for _ in range(2_000):
            local_counters.count(Counter.JOBS_FENCED)
            local_counters.observe(Histogram.JOB_DURATION, SPANS, [timedelta(0)])

    def drain() -> None:
        for _ in range(200):
            told.extend(local_counters.drain().values())
            local_counters.give_back({})

    threads = [threading.Thread(target=work) for work in (count, count, count, drain)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rest = local_counters.drain()

    # Every span of zero stands in every bucket and in the count.
    per_span = len(BUCKETS[Histogram.JOB_DURATION]) + 2
    assert sum(told) + sum(rest.values()) == 6_000 + 6_000 * per_span


def test_what_are_numbers_already_is_measured_as_spans_are() -> None:
    local_counters = LocalCounters()
    local_counters.measure(Histogram.BATCH_SYNC_CLAIMED, (), [0, 3, 5_000, -1])

    told = local_counters.drain()

    assert told[Series("batch_sync_claimed_jobs_bucket", (("le", "0"),))] == 2
    assert told[Series("batch_sync_claimed_jobs_bucket", (("le", "5"),))] == 3
    assert told[Series("batch_sync_claimed_jobs_count", ())] == 4
    assert told[Series("batch_sync_claimed_jobs_sum", ())] == 5_003


def test_it_says_how_many_series_wait() -> None:
    local_counters = LocalCounters()
    local_counters.count(Counter.JOBS_FENCED)
    local_counters.measure(Histogram.BATCH_SYNC_CLAIMED, (), [1])
    assert len(local_counters) == 2
    drained = local_counters.drain()
    assert len(local_counters) == 0
    local_counters.give_back(drained)
    assert len(local_counters) == len(drained)
