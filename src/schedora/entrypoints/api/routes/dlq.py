"""The dead letter queue: jobs that failed for good."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from schedora.application.ports.job_reader import JobFilter
from schedora.domain.ids import JobId
from schedora.domain.job_state import JobState
from schedora.entrypoints.api import examples
from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.answers import answer
from schedora.entrypoints.api.body import SMALL_BYTES, parsed, read_body
from schedora.entrypoints.api.cursors import cursor_of
from schedora.entrypoints.api.documented import answers, takes
from schedora.entrypoints.api.inputs import PathId, TheSystem
from schedora.entrypoints.api.schemas.envelopes import Data, Page
from schedora.entrypoints.api.schemas.jobs import JobView, job_view
from schedora.entrypoints.api.schemas.queues import DlqFilter, DlqFilterQuery, DlqQuery, RequeuedView

router = APIRouter(prefix=PREFIX, tags=["dead letter queue"])

DEAD = frozenset({JobState.DEAD})


@router.get(
    "/dlq",
    summary="List dead jobs",
    responses=answers(200, Page[JobView], {"data": [examples.DEAD_JOB], "next_cursor": None}, refuses=(422,)),
)
async def list_dlq(system: TheSystem, query: Annotated[DlqQuery, Query()]) -> Response:
    """Newest first."""
    job_filter = JobFilter(states=DEAD, type=query.type, queue=query.queue, error_kind=query.error_kind)
    after = None if query.cursor is None else JobId(query.cursor)
    page = await system.jobs.page(job_filter, limit=query.limit, after=after)
    return answer({"data": [job_view(job) for job in page.jobs], "next_cursor": cursor_of(page.next_after)})


@router.post(
    "/dlq/requeue",
    summary="Run many dead jobs again",
    openapi_extra=takes(DlqFilter, examples.DLQ_FILTER, required=False),
    responses=answers(200, Data[RequeuedView], {"data": {"requeued": 12}}, refuses=(413, 422)),
)
async def requeue_all(
    request: Request, system: TheSystem, query: Annotated[DlqFilterQuery, Query()]
) -> Response:
    """All, or those that fit every filter, given in the body or in the address."""
    body = await read_body(request, SMALL_BYTES)
    given = parsed(DlqFilter, body) if body.strip() else DlqFilter()
    job_filter = JobFilter(
        states=DEAD,
        type=given.type or query.type,
        queue=given.queue or query.queue,
        error_kind=given.error_kind or query.error_kind,
    )
    return answer({"data": {"requeued": await system.requeue_dead(job_filter)}})


@router.post(
    "/dlq/{job_id}/requeue",
    summary="Run a dead job again",
    responses=answers(200, Data[JobView], {"data": examples.JOB}, refuses=(404, 409, 422)),
)
async def requeue_one(system: TheSystem, job_id: PathId) -> Response:
    """It is PENDING again, with a new retry budget; its errors are kept."""
    return answer({"data": job_view(await system.requeue_job(JobId(job_id), only=DEAD))})


@router.delete(
    "/dlq/{job_id}",
    summary="Delete a dead job",
    status_code=204,
    responses=answers(204, None, None, refuses=(404, 409, 422)),
)
async def delete_dead(system: TheSystem, job_id: PathId) -> Response:
    """For good. Jobs of a workflow stay with it."""
    await system.delete_dead(JobId(job_id))
    return Response(status_code=204)
