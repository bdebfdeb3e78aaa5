"""Counts of this process, on their way to the store, where those of all processes are summed."""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import timedelta
from threading import Lock

from schedora.application.ports.metrics import COUNTER_LABEL, HISTOGRAM_LABELS, Counter, Histogram
from schedora.application.ports.totals import Series, Totals

BUCKETS_SECONDS: Mapping[Histogram, tuple[float, ...]] = {
    Histogram.JOB_DURATION: (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600),
    Histogram.JOB_QUEUE_LATENCY: (0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 3600),
}
"""Upper bounds; the last bucket is open."""


class Tally:
    """Port ``Metrics``, in memory. ``drain`` empties it; ``put_back`` undoes that when the store was away."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._counts: dict[tuple[Counter, str], int] = {}
        self._observed: dict[tuple[Histogram, tuple[str, ...]], list[float]] = {}
        self._returned: dict[Series, float] = {}

    def count(self, counter: Counter, label: str = "", amount: int = 1) -> None:
        with self._guard:
            self._counts[counter, label] = self._counts.get((counter, label), 0) + amount

    def observe(self, histogram: Histogram, labels: tuple[str, ...], span: timedelta) -> None:
        seconds = max(0.0, span.total_seconds())
        bounds = BUCKETS_SECONDS[histogram]
        with self._guard:
            cells = self._observed.get((histogram, labels))
            if cells is None:
                cells = self._observed[histogram, labels] = [0.0] * (len(bounds) + 2)
            cells[bisect_left(bounds, seconds)] += 1
            cells[-1] += seconds

    def drain(self) -> dict[Series, float]:
        with self._guard:
            counts, self._counts = self._counts, {}
            observed, self._observed = self._observed, {}
            series, self._returned = self._returned, {}
        for (counter, label), amount in counts.items():
            name = COUNTER_LABEL[counter]
            _add(series, Series(counter, () if name is None else ((name, label),)), amount)
        for (histogram, labels), cells in observed.items():
            _add_histogram(
                series, histogram, tuple(zip(HISTOGRAM_LABELS[histogram], labels, strict=True)), cells
            )
        return series

    def put_back(self, series: Mapping[Series, float]) -> None:
        with self._guard:
            for key, amount in series.items():
                _add(self._returned, key, amount)


async def flush(tally: Tally, totals: Totals) -> None:
    """Brings what was counted to the store. Raises ``StoreUnavailable``; then it is kept for the next time."""
    series = tally.drain()
    if not series:
        return
    try:
        await totals.add(series)
    except BaseException:
        tally.put_back(series)
        raise


def _add(series: dict[Series, float], key: Series, amount: float) -> None:
    series[key] = series.get(key, 0.0) + amount


def _add_histogram(
    series: dict[Series, float], histogram: Histogram, labels: tuple[tuple[str, str], ...], cells: list[float]
) -> None:
    """As Prometheus has it: each bucket counts what is at or below its bound."""
    *buckets, total_seconds = cells
    below = 0.0
    for bound, amount in zip([*BUCKETS_SECONDS[histogram], "+Inf"], buckets, strict=True):
        below += amount
        _add(series, Series(f"{histogram}_bucket", (*labels, ("le", str(bound)))), below)
    _add(series, Series(f"{histogram}_sum", labels), total_seconds)
    _add(series, Series(f"{histogram}_count", labels), below)
