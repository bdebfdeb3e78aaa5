"""Queues: how full they are, paused, resumed, purged, and how long they keep what has ended."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from schedora.entrypoints.api import examples
from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.answers import answer
from schedora.entrypoints.api.body import SMALL_BYTES, read_json
from schedora.entrypoints.api.documented import answers, takes
from schedora.entrypoints.api.inputs import PathQueue, TheSystem
from schedora.entrypoints.api.schemas.envelopes import Data
from schedora.entrypoints.api.schemas.queues import (
    PurgedView,
    PurgeQuery,
    QueueRetentionView,
    QueueView,
    RetentionChange,
    StatsView,
    queue_retention_view,
    queue_view,
    stats_view,
)

router = APIRouter(prefix=PREFIX, tags=["queues"])

PURGED = "Queue purged successfully"


@router.get(
    "/queue/stats",
    summary="Tell how full the queues are",
    responses=answers(200, StatsView, examples.STATS),
)
async def queue_stats(system: TheSystem) -> Response:
    """In all and queue by queue."""
    return answer(stats_view(await system.queue_stats()))


@router.post(
    "/queue/purge",
    summary="Cancel every job that waits",
    responses=answers(200, PurgedView, {"message": PURGED, "purged": 12}, refuses=(422,)),
)
async def purge_queue(system: TheSystem, query: Annotated[PurgeQuery, Query()]) -> Response:
    """In one queue, or in all. What runs is not touched."""
    return answer({"message": PURGED, "purged": await system.purge_queue(query.queue)})


# A queue's name may contain anything, a slash too.
@router.post(
    "/queues/{name:name}/pause",
    summary="Pause a queue",
    responses=answers(200, Data[QueueView], {"data": examples.PAUSED_QUEUE}, refuses=(422,)),
)
async def pause_queue(system: TheSystem, name: PathQueue) -> Response:
    """Its jobs wait; what runs goes on."""
    return answer({"data": queue_view(await system.pause_queue(name))})


@router.post(
    "/queues/{name:name}/resume",
    summary="Resume a queue",
    responses=answers(200, Data[QueueView], {"data": examples.QUEUE}, refuses=(422,)),
)
async def resume_queue(system: TheSystem, name: PathQueue) -> Response:
    """Its jobs run again."""
    return answer({"data": queue_view(await system.resume_queue(name))})


@router.put(
    "/queues/{name:name}/retention",
    summary="Say how long a queue keeps its ended jobs",
    openapi_extra=takes(RetentionChange, examples.RETENTION_CHANGE),
    responses=answers(200, Data[QueueRetentionView], {"data": examples.QUEUE_RETENTION}, refuses=(413, 422)),
)
async def retain_in_queue(request: Request, system: TheSystem, name: PathQueue) -> Response:
    """In place of what was said before. What is null or left out goes by the settings."""
    change = await read_json(request, RetentionChange, SMALL_BYTES)
    return answer({"data": queue_retention_view(await system.retain_in_queue(name, change.retention()))})
