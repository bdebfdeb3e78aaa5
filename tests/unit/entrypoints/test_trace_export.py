"""The export of spans as a service of a process."""

import asyncio

from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.shared_counters import Series
from schedora.domain.ids import JsonText
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import load_settings
from schedora.entrypoints.trace_export import TraceExport
from tests.unit.application.exported import RecordedExport


async def test_it_is_open_until_it_is_stopped_and_shows_what_waits() -> None:
    export, gauges = RecordedExport(), RegisteredGauges()
    export.put_span(JsonText("{}"))
    service = TraceExport(export, gauges)
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    assert export.did == ["start"]
    assert gauges.read() == {Series(Gauge.TRACE_EXPORT_WAITING, ()): 1}
    service.stop()
    await running
    assert export.did == ["start", "close"]


async def test_one_that_is_stopped_before_it_runs_ends_at_once() -> None:
    export = RecordedExport()
    service = TraceExport(export, RegisteredGauges())
    service.stop()
    await service.run()
    assert export.did == ["start", "close"]


def test_a_system_exports_where_a_collector_is_named() -> None:
    assert build_system(load_settings(), database_url=None).span_export is None
    settings = load_settings(otel_exporter_otlp_endpoint="http://127.0.0.1:1")
    export = build_system(settings, database_url=None).span_export
    assert export is not None
    assert len(export) == 0
    export.close()
