"""Brings the spans of this process to a collector, and what is left of them at the end."""

import asyncio

from schedora.application.ports.metrics import Gauge, Gauges
from schedora.application.ports.span_export import SpanExport


class TraceExport:
    name = "traces"

    def __init__(self, export: SpanExport, gauges: Gauges) -> None:
        self._export = export
        self._gauges = gauges
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        self._gauges.register(Gauge.TRACE_EXPORT_WAITING, self._export.__len__)
        self._export.start()
        try:
            await self._stopped.wait()
        finally:
            await asyncio.to_thread(self._export.close)

    def stop(self) -> None:
        self._stopped.set()
