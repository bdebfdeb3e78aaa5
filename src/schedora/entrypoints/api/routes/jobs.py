"""Jobs: looked at, waited for, canceled, retried."""

import asyncio
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from schedora.application.errors import NotFound
from schedora.application.ports.job_reader import JobFilter
from schedora.domain.ids import JobId, WorkerId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import ENDED
from schedora.entrypoints.api import examples
from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.admission import wait_longer
from schedora.entrypoints.api.answers import answer
from schedora.entrypoints.api.cursors import cursor_of
from schedora.entrypoints.api.documented import answers
from schedora.entrypoints.api.inputs import PathId, TheSystem
from schedora.entrypoints.api.problems import Problem, Refused, unavailable
from schedora.entrypoints.api.schemas.envelopes import Data, Page
from schedora.entrypoints.api.schemas.job_logs import JobLogView, LogsQuery, job_log_view
from schedora.entrypoints.api.schemas.jobs import (
    CanceledView,
    EventView,
    JobsQuery,
    JobView,
    WaitQuery,
    event_view,
    job_view,
)
from schedora.entrypoints.api.schemas.traces import TraceView, trace_view
from schedora.entrypoints.api.schemas.why import WhyView, why_view
from schedora.entrypoints.system import System

router = APIRouter(prefix=PREFIX, tags=["jobs"])


@router.get(
    "/jobs",
    summary="List jobs",
    responses=answers(200, Page[JobView], {"data": [examples.JOB], "next_cursor": None}, refuses=(422,)),
)
async def list_jobs(system: TheSystem, query: Annotated[JobsQuery, Query()]) -> Response:
    """Newest first."""
    job_filter = JobFilter(
        states=frozenset(query.status),
        type=query.type,
        queue=query.queue,
        workflow_id=None if query.workflow_id is None else WorkflowId(query.workflow_id),
        worker_id=None if query.worker_id is None else WorkerId(query.worker_id),
        created_after=query.created_after,
        created_before=query.created_before,
    )
    after = None if query.cursor is None else JobId(query.cursor)
    page = await system.jobs.page(job_filter, limit=query.limit, after=after)
    return answer({"data": [job_view(job) for job in page.jobs], "next_cursor": cursor_of(page.next_after)})


@router.get(
    "/jobs/{job_id}",
    summary="Show a job",
    responses=answers(200, Data[JobView], {"data": examples.JOB}, refuses=(404, 422)),
)
async def get_job(
    request: Request, system: TheSystem, job_id: PathId, query: Annotated[WaitQuery, Query()]
) -> Response:
    """With ``wait`` it answers once the job has ended, or after so many seconds."""
    if query.wait and not await _has_ended(system, JobId(job_id)):
        if system.endings.waiting >= system.settings.api_waits_max:
            raise Refused(_too_many_wait(system.settings.api_waits_max))
        wait_longer(request, query.wait)
        await _until_ended(request, system, JobId(job_id), timedelta(seconds=query.wait))
    return answer({"data": job_view(await _found(system, JobId(job_id)))})


@router.post(
    "/jobs/{job_id}/cancel",
    summary="Cancel a job",
    responses=answers(200, Data[CanceledView], {"data": examples.CANCELED}, refuses=(404, 409, 422)),
)
async def cancel_job(system: TheSystem, job_id: PathId) -> Response:
    """A running job is interrupted; jobs that wait for it are canceled as well."""
    job = await system.cancel_job(JobId(job_id))
    canceled: CanceledView = {
        "job_id": job.job_id,
        "status": job.status,
        "message": "Job canceled successfully",
    }
    return answer({"data": canceled})


@router.post(
    "/jobs/{job_id}/retry",
    summary="Run a dead or canceled job again",
    responses=answers(200, Data[JobView], {"data": examples.JOB}, refuses=(404, 409, 422)),
)
async def retry_job(system: TheSystem, job_id: PathId) -> Response:
    """It is PENDING again, with a new retry budget."""
    return answer({"data": job_view(await system.requeue_job(JobId(job_id)))})


@router.get(
    "/jobs/{job_id}/events",
    summary="Tell a job's history",
    responses=answers(
        200, Page[EventView], {"data": [examples.EVENT], "next_cursor": None}, refuses=(404, 422)
    ),
)
async def job_events(system: TheSystem, job_id: PathId) -> Response:
    """Oldest first."""
    job = await _found(system, JobId(job_id))
    return answer({"data": [event_view(event) for event in job.events()], "next_cursor": None})


@router.get(
    "/jobs/{job_id}/why",
    summary="Tell why a job does not run",
    responses=answers(200, Data[WhyView], {"data": examples.WHY}, refuses=(404, 422)),
)
async def job_why(system: TheSystem, job_id: PathId) -> Response:
    """Or what it does: all reasons that hold, the decisive ones first."""
    return answer({"data": why_view(await system.explain_job(JobId(job_id)))})


@router.get(
    "/jobs/{job_id}/trace",
    summary="Trace a job",
    responses=answers(200, Data[TraceView], {"data": examples.TRACE}, refuses=(404, 422)),
)
async def job_trace(system: TheSystem, job_id: PathId) -> Response:
    """The spans of its submission, waits and attempts, and those of its handler."""
    return answer({"data": trace_view(await system.trace_job(JobId(job_id)), system.settings)})


@router.get(
    "/jobs/{job_id}/logs",
    summary="Tell what a job's handler logged",
    responses=answers(200, Data[JobLogView], {"data": examples.JOB_LOG}, refuses=(404, 422)),
)
async def job_logs(system: TheSystem, job_id: PathId, query: Annotated[LogsQuery, Query()]) -> Response:
    """Run by run, oldest first: the last lines of each, as many as are kept. Those of a run that goes on appear about
    a second after they were written.
    """
    log = await system.read_job_log(JobId(job_id), attempt=query.attempt, after=query.place, tail=query.tail)
    return answer({"data": job_log_view(log)})


def _too_many_wait(maximum: int) -> Problem:
    return unavailable(f"There are {maximum} requests that wait for a job already, and no room for more.")


async def _found(system: System, job_id: JobId) -> Job:
    job = await system.jobs.get(job_id)
    if job is None:
        raise NotFound("job", job_id)
    return job


async def _has_ended(system: System, job_id: JobId) -> bool:
    """Without reading it whole: those who wait are many."""
    summary = (await system.jobs.status_summaries([job_id])).get(job_id)
    if summary is None:
        raise NotFound("job", job_id)
    return summary.status in ENDED


async def _until_ended(request: Request, system: System, job_id: JobId, at_most: timedelta) -> None:
    """Until the job has ended, the time is up, nobody waits for the answer any more, or the server stops: whoever sees that the job
    has not ended asks again, and finds another server.
    """
    server_stops: asyncio.Event = request.app.state.stopping
    ending = asyncio.ensure_future(system.endings.wait(job_id, at_most))
    leaving = asyncio.ensure_future(_left(request))
    stopping = asyncio.ensure_future(server_stops.wait())
    try:
        await asyncio.wait((ending, leaving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        stopping.cancel()
        if not ending.done():
            ending.cancel()
        await asyncio.gather(leaving, stopping, ending, return_exceptions=True)
    if not ending.cancelled():
        await ending


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        """A body that nobody asked for."""
