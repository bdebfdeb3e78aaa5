"""What this process has to tell of itself at any moment."""

from collections.abc import Callable
from threading import Lock

from schedora.application.ports.metrics import GAUGE_LABELS, Gauge
from schedora.application.ports.totals import Series


class RegisteredGauges:
    """Port ``Gauges``: functions by name, asked when somebody wants to know."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._reads: dict[Series, Callable[[], float | None]] = {}

    def register(self, gauge: Gauge, read: Callable[[], float | None], labels: tuple[str, ...] = ()) -> None:
        named = tuple(zip(GAUGE_LABELS[gauge], labels, strict=True))
        with self._guard:
            self._reads[Series(gauge.value, named)] = read

    def read(self) -> dict[Series, float]:
        with self._guard:
            reads = dict(self._reads)
        return {series: value for series, read in reads.items() if (value := read()) is not None}
