"""A metric with a new name is shown under the old one as well, for one release."""

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from schedora.adapters.telemetry.renamed_metrics import OLD_NAMES, under_new_names, with_old_names
from schedora.application.ports.metrics import Counter, Gauge, Histogram
from schedora.application.ports.shared_counters import Series

BY_TYPE = (("job_type", "echo"),)


def family(name: str) -> Metric:
    made: CounterMetricFamily | GaugeMetricFamily
    if name.endswith("_total"):
        made = CounterMetricFamily(name, "Text.", labels=["job_type"])
    else:
        made = GaugeMetricFamily(name, "Text.", labels=["job_type"])
    made.add_metric(["echo"], 3)
    return made


@pytest.mark.parametrize(
    ("new", "old"), [pair for pair in OLD_NAMES.items() if not isinstance(pair[0], Histogram)]
)
def test_it_is_shown_under_both_names_with_the_same_values(new: str, old: str) -> None:
    samples = [
        (sample.name, sample.labels, sample.value)
        for told in with_old_names([family(new)])
        for sample in told.samples
    ]
    assert samples == [(new, {"job_type": "echo"}, 3), (old, {"job_type": "echo"}, 3)]


def test_each_series_of_a_histogram_is_shown_under_both_names() -> None:
    new = HistogramMetricFamily(
        Histogram.BATCH_SYNC_DURATION, "Text.", buckets=[("1.0", 2), ("+Inf", 3)], sum_value=4.5
    )
    _, copy = with_old_names([new])
    assert [(sample.name, sample.labels, sample.value) for sample in copy.samples] == [
        ("exchange_duration_seconds_bucket", {"le": "1.0"}, 2),
        ("exchange_duration_seconds_bucket", {"le": "+Inf"}, 3),
        ("exchange_duration_seconds_count", {}, 3),
        ("exchange_duration_seconds_sum", {}, 4.5),
    ]


@pytest.mark.parametrize("suffix", ["_bucket", "_count", "_sum"])
def test_what_the_release_before_measured_is_added(suffix: str) -> None:
    old = Series(f"exchange_duration_seconds{suffix}", ())
    new = Series(f"{Histogram.BATCH_SYNC_DURATION}{suffix}", ())
    assert under_new_names({old: 2.0, new: 3.0}) == {new: 5.0}


def test_a_copy_says_what_it_is_called_now() -> None:
    _, copy = with_old_names([family(Counter.JOBS_RELEASED)])
    assert (copy.name, copy.type) == ("jobs_handed_back", "counter")
    assert copy.documentation == "Renamed to jobs_released_total."


def test_others_have_one_name() -> None:
    told = [family(Counter.JOBS_CREATED), family(Gauge.WORKER_SLOTS)]
    assert list(with_old_names(told)) == told


def test_what_the_release_before_counted_is_added() -> None:
    old, new = (Series(name, BY_TYPE) for name in ("jobs_handed_back_total", Counter.JOBS_RELEASED))
    other = Series(Counter.JOBS_CREATED, BY_TYPE)
    assert under_new_names({old: 2.0, new: 3.0, other: 5.0}) == {new: 5.0, other: 5.0}
    assert under_new_names({old: 2.0}) == {new: 2.0}
