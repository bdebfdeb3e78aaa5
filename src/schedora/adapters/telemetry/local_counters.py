"""Counts of this process, on their way to the store, where those of all processes are summed."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from threading import Lock

from schedora.application.ports.metrics import COUNTER_LABEL, HISTOGRAM_LABELS, Counter, Histogram
from schedora.application.ports.shared_counters import Series

Labels = tuple[tuple[str, str], ...]

_JOBS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

BUCKETS: Mapping[Histogram, tuple[float, ...]] = {
    Histogram.JOB_DURATION: (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600),
    Histogram.JOB_QUEUE_LATENCY: (0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 3600),
    Histogram.JOB_COMPLETION_LATENCY: (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30),
    Histogram.BATCH_SYNC_DURATION: (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
    Histogram.BATCH_SYNC_CLAIMED: _JOBS,
    Histogram.BATCH_SYNC_COMPLETED: _JOBS,
    Histogram.REAPER_ROUND: (0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30),
}
"""Upper bounds; the last bucket is open."""


class Distribution:
    """One histogram, in buckets with the given upper bounds and one without."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._amounts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        self._amounts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def add_all(self, values: Iterable[float]) -> None:
        """What is below zero, for clocks differ, counts as zero."""
        bounds, amounts, total = self._bounds, self._amounts, 0.0
        for value in values:
            if value > 0:
                amounts[bisect_left(bounds, value)] += 1
                total += value
            else:
                amounts[0] += 1
        self._total += total

    def series(self, name: str, labels: Labels) -> dict[Series, float]:
        """As Prometheus has it: each bucket counts what is at or below its bound."""
        told: dict[Series, float] = {}
        below = 0
        for bound, amount in zip([*self._bounds, "+Inf"], self._amounts, strict=True):
            below += amount
            told[Series(f"{name}_bucket", (*labels, ("le", str(bound))))] = below
        told[Series(f"{name}_sum", labels)] = self._total
        told[Series(f"{name}_count", labels)] = below
        return told


class LocalCounters:
    """Port ``Metrics``, in memory. ``drain`` empties it; ``give_back`` undoes that when the store was away."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._counts: dict[tuple[Counter, str], int] = {}
        self._observed: dict[tuple[Histogram, tuple[str, ...]], Distribution] = {}
        self._given_back: dict[Series, float] = {}

    def count(self, counter: Counter, label: str = "", amount: int = 1) -> None:
        with self._guard:
            self._counts[counter, label] = self._counts.get((counter, label), 0) + amount

    def observe(self, histogram: Histogram, labels: tuple[str, ...], spans: Iterable[timedelta]) -> None:
        self.measure(histogram, labels, map(timedelta.total_seconds, spans))

    def measure(self, histogram: Histogram, labels: tuple[str, ...], values: Iterable[float]) -> None:
        with self._guard:
            observed = self._observed.get((histogram, labels))
            if observed is None:
                observed = self._observed[histogram, labels] = Distribution(BUCKETS[histogram])
            observed.add_all(values)

    def __len__(self) -> int:
        """How many series wait to be drained."""
        return len(self._counts) + len(self._observed) + len(self._given_back)

    def drain(self) -> dict[Series, float]:
        """What was counted since the last time, and what was given back."""
        with self._guard:
            counts, self._counts = self._counts, {}
            observed, self._observed = self._observed, {}
            drained, self._given_back = self._given_back, {}
        for (counter, label), amount in counts.items():
            name = COUNTER_LABEL[counter]
            _add(drained, {Series(counter, () if name is None else ((name, label),)): amount})
        for (histogram, labels), distribution in observed.items():
            named = tuple(zip(HISTOGRAM_LABELS[histogram], labels, strict=True))
            _add(drained, distribution.series(histogram, named))
        return drained

    def give_back(self, drained: Mapping[Series, float]) -> None:
        with self._guard:
            _add(self._given_back, drained)


def _add(told: dict[Series, float], more: Mapping[Series, float]) -> None:
    for key, amount in more.items():
        told[key] = told.get(key, 0.0) + amount
