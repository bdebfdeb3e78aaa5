"""Metrics that this release renames: for one release each is shown under both names, and counts kept under the old one are added.

Delete an entry with the release after the one that renames it.
"""

from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric

from schedora.application.ports.metrics import Counter, Gauge, Histogram
from schedora.application.ports.shared_counters import Series

OLD_NAMES: Mapping[str, str] = {
    Counter.JOBS_RELEASED: "jobs_handed_back_total",
    Counter.JOBS_SYNC_MATCHED: "jobs_matched_total",
    Counter.WORKER_LOSS_SUPPRESSED: "workers_spared_total",
    Counter.RUN_LOGS_DROPPED: "trails_dropped_total",
    Gauge.COMPLETIONS_PENDING: "outbox_jobs",
    Histogram.BATCH_SYNC_DURATION: "exchange_duration_seconds",
    Histogram.BATCH_SYNC_CLAIMED: "exchange_claimed_jobs",
    Histogram.BATCH_SYNC_COMPLETED: "exchange_completed_jobs",
}
"""By the new name."""

_OF_HISTOGRAMS = ("_bucket", "_count", "_sum")
_NEW_NAMES = {
    f"{old}{suffix}": f"{new}{suffix}"
    for new, old in OLD_NAMES.items()
    for suffix in (_OF_HISTOGRAMS if isinstance(new, Histogram) else ("",))
}


def under_new_names(values: Mapping[Series, float]) -> dict[Series, float]:
    """Values under the names of this release. Processes of the release before report the old names: equal series are added."""
    named: dict[Series, float] = {}
    for series, value in values.items():
        new = series._replace(name=_NEW_NAMES.get(series.name, series.name))
        named[new] = named.get(new, 0) + value
    return named


def with_old_names(families: Iterable[Metric]) -> Iterable[Metric]:
    """Each family, followed by a copy under its old name if this release renames it."""
    for family in families:
        yield family
        new = f"{family.name}_total" if family.type == "counter" else family.name
        if (old := OLD_NAMES.get(new)) is not None:
            copy = Metric(old.removesuffix("_total"), f"Renamed to {new}.", family.type)
            copy.samples = [
                sample._replace(name=old + sample.name.removeprefix(new)) for sample in family.samples
            ]
            yield copy
