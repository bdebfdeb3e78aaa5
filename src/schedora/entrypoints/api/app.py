"""The API as an ASGI application."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute

from schedora.adapters.telemetry.http_metrics import HttpMetrics
from schedora.application.ports.metrics import Gauge
from schedora.application.telemetry.request_span import ServedRequest
from schedora.entrypoints.api import errors
from schedora.entrypoints.api.admission import Admission
from schedora.entrypoints.api.connections import Room
from schedora.entrypoints.api.docs import add_docs
from schedora.entrypoints.api.event_streams import EventStreams
from schedora.entrypoints.api.fast_route import FastRoute
from schedora.entrypoints.api.inputs import plain_address, plain_address_of_filters
from schedora.entrypoints.api.middleware import RequestMiddleware
from schedora.entrypoints.api.openapi import describe
from schedora.entrypoints.api.outage_log import OutageLog
from schedora.entrypoints.api.routes import (
    dlq,
    events,
    health,
    jobs,
    metrics,
    queues,
    submit,
    workers,
    workflows,
)
from schedora.entrypoints.system import System

DESCRIPTION = "Jobs and workflows of jobs, stored durably, run by a pool of workers."

# Submission first: the router asks one after the other.
ROUTERS = (
    submit.router, jobs.router, workflows.router, events.router, dlq.router,
    workers.router, queues.router, health.router, metrics.router,
    health.at_root, metrics.at_root,
)  # fmt: skip

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    system: System,
    *,
    lifespan: Lifespan | None = None,
    tell: Callable[..., None] | None = None,
    on_stored: Callable[[ServedRequest], None] | None = None,
) -> FastAPI:
    """The API over ``system``, which the caller opens and closes, in ``lifespan`` or elsewhere. ``tell`` and
    ``on_stored`` as for the edge.
    """
    settings = system.settings
    app = FastAPI(
        title=settings.app_name,
        version=settings.app_version,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The edge tells of requests. With FastAPI's own spans, those of each would be there twice, under different ids.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.system = system
    app.state.http_metrics = HttpMetrics()
    app.state.stopping = stopping = asyncio.Event()
    app.state.room = Room(settings.api_buffer_bytes_max)
    app.state.event_streams = streams = EventStreams(settings.event_streams_max, system.metrics)
    system.gauges.register(Gauge.EVENT_STREAMS_OPEN, lambda: len(streams))
    system.gauges.register(Gauge.REQUESTS_WAITING, lambda: system.endings.waiting)
    app.state.outage = outage = OutageLog(system.check_health.database.check, system.clock)
    for router in ROUTERS:
        check = plain_address_of_filters if router is events.router else plain_address
        app.include_router(router, dependencies=[Depends(check)])
    app.state.literal_addresses = frozenset(
        route.path
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and "{" not in route.path
    )
    documentation = add_docs(app)
    errors.install(app, [*documentation, *(route for router in ROUTERS for route in router.routes)])
    describe(app)
    app.add_middleware(FastRoute, routes=submit.ROUTES)
    app.add_middleware(
        Admission,
        seconds=settings.api_timeout_seconds,
        requests_max=settings.api_requests_max,
        outage=lambda: outage.known,
        stopping=stopping.is_set,
    )
    app.add_middleware(
        RequestMiddleware,
        randomness=system.randomness,
        metrics=app.state.http_metrics,
        sampler=settings.sampler,
        tell=tell,
        on_stored=on_stored,
    )
    return app
