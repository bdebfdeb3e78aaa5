"""Metrics for Prometheus."""

import asyncio

from fastapi import APIRouter, Request, Response

from schedora.adapters.telemetry.http_metrics import HttpMetrics
from schedora.adapters.telemetry.prometheus import CONTENT_TYPE, OwnReading, Reading
from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.domain.process import FRESH_FOR
from schedora.entrypoints.api import examples
from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.documented import answers
from schedora.entrypoints.api.inputs import TheSystem

log = Logger("schedora.api")

PATIENCE_SECONDS = 4
"""For all that is asked of a store that neither answers nor refuses to: with what it takes to let go of the connection, less
than the ten seconds that Prometheus waits.
"""

router = APIRouter(prefix=PREFIX, tags=["health"])


@router.get(
    "/metrics",
    summary="Tell the metrics",
    response_class=Response,
    responses=answers(200, None, examples.METRICS, media_type="text/plain"),
)
async def metrics(request: Request, system: TheSystem) -> Response:
    """In the text format of Prometheus: of all processes together, and of this one's answers. Those alone
    while the database is away.
    """
    http: HttpMetrics = request.app.state.http_metrics
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await system.report_process()
            await system.flush_metrics()
            reading = Reading(
                totals={**await system.shared_counters.read(), **http.read()},
                stats=await system.queue_stats(),
                workers=await system.workers.registered(),
                processes=await system.process_reports.fresh(FRESH_FOR),
                version=system.process.version,
                schema=system.schema,
                label_values_max=system.settings.metrics_label_values_max,
            )
    except (StoreUnavailable, TimeoutError) as error:
        log.warning("metrics without the store's", reason=str(error) or "it did not answer in time")
        own = OwnReading(totals=http.read(), process=system.process, gauges=system.gauges.read())
        return Response(own.text(), media_type=CONTENT_TYPE)
    # Beside the event loop: with hundreds of types it takes a tenth of a second, in which nobody else would be answered.
    return Response(await asyncio.to_thread(reading.text), media_type=CONTENT_TYPE)


at_root = APIRouter(include_in_schema=False)
"""Where Prometheus looks by habit."""
at_root.add_api_route("/metrics", metrics)
