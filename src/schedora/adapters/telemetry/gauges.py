"""What this process has to tell of itself at any moment."""

from collections.abc import Callable
from math import isfinite
from threading import Lock

from schedora.application.log import Logger
from schedora.application.ports.metrics import GAUGE_LABELS, Gauge
from schedora.application.ports.shared_counters import Series

log = Logger("schedora.metrics")


class RegisteredGauges:
    """Port ``Gauges``: functions by name, asked when somebody wants to know."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._failed: set[Series] = set()
        """Those of which the log was told."""
        self._reads: dict[Series, Callable[[], float | None]] = {}

    def register(self, gauge: Gauge, read: Callable[[], float | None], labels: tuple[str, ...] = ()) -> None:
        named = tuple(zip(GAUGE_LABELS[gauge], labels, strict=True))
        with self._guard:
            self._reads[Series(gauge.value, named)] = read

    def read(self) -> dict[Series, float]:
        """Without those that have nothing to tell, or fail: the others must not suffer for it."""
        with self._guard:
            reads = dict(self._reads)
        return {
            series: value
            for series, read in reads.items()
            if (value := self._value(series, read)) is not None
        }

    def _value(self, series: Series, read: Callable[[], float | None]) -> float | None:
        try:
            value = read()
        except Exception:
            if series not in self._failed:
                self._failed.add(series)
                log.exception("a gauge can't be read", gauge=series.name)
            return None
        return value if value is not None and isfinite(value) else None
