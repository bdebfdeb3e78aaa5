"""The export of spans as a service of a process."""

import asyncio
from collections.abc import Sequence

from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.totals import Series
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText
from schedora.domain.request_span import ServedRequest
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.container.settings import load_settings
from schedora.entrypoints.trace_export import TraceExport


class Recorded:
    """An export, and what was asked of it."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def put_runs(self, settled: Sequence[tuple[ClaimedJob, Completion]]) -> None: ...

    def put_request(self, served: ServedRequest) -> None: ...

    def put_span(self, span: JsonText) -> None: ...

    def __len__(self) -> int:
        return 7

    def start(self) -> None:
        self.did.append("start")

    def close(self) -> None:
        self.did.append("close")


async def test_it_is_open_until_it_is_stopped_and_shows_what_waits() -> None:
    export, gauges = Recorded(), RegisteredGauges()
    service = TraceExport(export, gauges)
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    assert export.did == ["start"]
    assert gauges.read() == {Series(Gauge.TRACE_EXPORT_WAITING, ()): 7}
    service.stop()
    await running
    assert export.did == ["start", "close"]


async def test_one_that_is_stopped_before_it_runs_ends_at_once() -> None:
    export = Recorded()
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
