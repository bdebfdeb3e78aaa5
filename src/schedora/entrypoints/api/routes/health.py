"""Health, for people and for probes."""

from fastapi import APIRouter, Request, Response

from schedora.entrypoints.api import examples
from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.answers import answer
from schedora.entrypoints.api.documented import answers
from schedora.entrypoints.api.inputs import TheSystem
from schedora.entrypoints.api.outage_log import OutageLog
from schedora.entrypoints.api.problems import Refused, unavailable
from schedora.entrypoints.api.schemas.envelopes import Data
from schedora.entrypoints.api.schemas.health import (
    DeepHealthView,
    HealthView,
    ProbeView,
    deep_health_view,
    health_view,
)

router = APIRouter(prefix=PREFIX, tags=["health"])

NO_DATABASE = "The database can't be reached now."


@router.get(
    "/health",
    summary="Tell how the system is",
    responses=answers(200, Data[HealthView], {"data": examples.HEALTH}),
)
async def health(request: Request, system: TheSystem) -> Response:
    """``degraded`` without Redis; 503 with the same ``data`` when the database is away."""
    report = await system.check_health()
    view = health_view(report)
    if report.status == "unhealthy":
        _suspect_outage(request)
        raise Refused(unavailable(NO_DATABASE).with_members(data=view))
    return answer({"data": view})


@router.get(
    "/health/deep",
    summary="Tell what is wrong and what helps",
    responses=answers(200, Data[DeepHealthView], {"data": examples.DEEP_HEALTH}),
)
async def deep_health(system: TheSystem) -> Response:
    """Examines the database, Redis and how work goes on; takes a moment. 200 whatever is found, also when the database is
    away: `status` tells.
    """
    return answer({"data": deep_health_view(await system.examine())})


@router.get(
    "/health/live",
    summary="Tell that this process lives",
    responses=answers(200, Data[ProbeView], {"data": {"status": "alive"}}),
)
async def live() -> Response:
    """Depends on nothing else."""
    return answer({"data": {"status": "alive"}})


@router.get(
    "/health/ready",
    summary="Tell whether this process can serve",
    responses=answers(200, Data[ProbeView], {"data": {"status": "ready"}}),
)
async def ready(request: Request, system: TheSystem) -> Response:
    """503 when the database is away, does not answer or takes no writes; within two seconds."""
    report = await system.check_health()
    if report.status == "unhealthy":
        _suspect_outage(request)
        raise Refused(unavailable(NO_DATABASE).with_members(data={"status": "not ready"}))
    return answer({"data": {"status": "ready"}})


def _suspect_outage(request: Request) -> None:
    outage: OutageLog = request.app.state.outage
    outage.suspected()


at_root = APIRouter(include_in_schema=False)
"""Where probes look by habit."""
at_root.add_api_route("/health", health)
at_root.add_api_route("/health/live", live)
at_root.add_api_route("/health/ready", ready)
