from math import nan

import pytest
from structlog.testing import capture_logs

from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.shared_counters import Series


def test_they_are_read_when_somebody_asks() -> None:
    gauges = RegisteredGauges()
    used = [1.0]
    gauges.register(Gauge.WORKER_SLOTS_USED, lambda: used[0])
    gauges.register(Gauge.REAPER_LAST_ROUND, lambda: None)
    gauges.register(Gauge.DATABASE_CONNECTIONS, lambda: 3, ("shared", "idle"))
    used[0] = 2

    assert gauges.read() == {
        Series("worker_slots_used", ()): 2,
        Series("database_connections", (("pool", "shared"), ("state", "idle"))): 3,
    }


def test_the_last_to_register_is_asked() -> None:
    gauges = RegisteredGauges()
    gauges.register(Gauge.WORKER_SLOTS, lambda: 1)
    gauges.register(Gauge.WORKER_SLOTS, lambda: 2)

    assert gauges.read() == {Series("worker_slots", ()): 2}


def test_one_that_fails_or_is_no_number_is_left_out_and_told_of_once() -> None:
    gauges = RegisteredGauges()
    gauges.register(Gauge.WORKER_SLOTS, lambda: 1)
    gauges.register(Gauge.WORKER_SLOTS_USED, lambda: 1 / 0)
    gauges.register(Gauge.COMPLETIONS_PENDING, lambda: nan)
    with capture_logs() as logs:
        for _ in range(2):
            assert gauges.read() == {Series("worker_slots", ()): 1}
    assert [line["gauge"] for line in logs] == ["worker_slots_used"]


def test_a_label_must_not_be_left_out() -> None:
    with pytest.raises(ValueError, match="argument"):
        RegisteredGauges().register(Gauge.DATABASE_CONNECTIONS_MAX, lambda: 1)
