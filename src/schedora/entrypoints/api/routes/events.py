"""Events as streams: of all jobs, of one job from its beginning to its end, of one workflow."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from schedora.application.errors import NotFound, StoreUnavailable
from schedora.application.ports.job_reader import StatusSummary
from schedora.application.queries.event_feed import (
    EventFilter,
    Gap,
    Item,
    Listener,
    Mark,
    Missed,
    Move,
    Ready,
)
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.workflow import Workflow
from schedora.entrypoints.api import examples
from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.documented import answers
from schedora.entrypoints.api.event_streams import (
    KEEP_ALIVE,
    MEDIA_TYPE,
    EventStreamResponse,
    EventStreams,
    Frames,
    Stream,
    frame,
    keep_alive,
    opening,
)
from schedora.entrypoints.api.inputs import PathId, TheRequestContext, TheSystem
from schedora.entrypoints.api.schemas.events import (
    EventsQuery,
    ResumeQuery,
    end_id,
    ended_workflow_id,
    mark_id,
    mark_of,
    move_view,
    notice_view,
    record_ids,
    without_end,
)
from schedora.entrypoints.api.schemas.workflows import workflow_status_view
from schedora.entrypoints.system import System

router = APIRouter(prefix=PREFIX, tags=["events"])

STORE_PAUSE = timedelta(seconds=1)
"""While the store is away, streams stay: most clients do not come back to a server that refuses them."""

QUIET, QUIET_AT_MOST = timedelta(milliseconds=250), timedelta(seconds=2)
"""A workflow that has ended has no more moves to be told once none has come for so long."""

OVER = Response(status_code=204)
"""What ends a client's attempts to come back."""


async def _streams(request: Request) -> EventStreams:
    streams: EventStreams = request.app.state.event_streams
    return streams


async def _last_event_id(request: Request) -> str | None:
    """Where the client says that it got to."""
    return request.headers.get("last-event-id") or request.query_params.get("last_event_id") or None


TheStreams = Annotated[EventStreams, Depends(_streams)]
TheLastId = Annotated[str | None, Depends(_last_event_id)]


@router.get(
    "/events",
    summary="Follow the moves of jobs",
    response_class=Response,
    responses=answers(200, None, examples.EVENT_STREAM, refuses=(422,), media_type=MEDIA_TYPE),
)
async def follow_events(
    *,
    system: TheSystem,
    visit: TheRequestContext,
    streams: TheStreams,
    last_id: TheLastId,
    query: Annotated[EventsQuery, Query()],
) -> Response:
    """As they happen, in Server-Sent Events: ``job`` for each; ``ready`` when from there on none is missed, ``gap``
    where some may have been; ``dropped`` when the server ends the stream. With Last-Event-ID, from there on.
    """

    def frames(stream: Stream) -> Frames:
        return _feed_frames(system, streams, stream, query.wanted(), last_id)

    return EventStreamResponse(streams, frames, with_body=visit.with_body)


@router.get(
    "/jobs/{job_id}/events/stream",
    summary="Follow a job to its end",
    response_class=Response,
    responses=answers(200, None, examples.JOB_EVENT_STREAM, refuses=(404, 422), media_type=MEDIA_TYPE)
    | {204: {"description": "It has ended, and its client has seen that"}},
)
async def follow_job(
    *,
    system: TheSystem,
    visit: TheRequestContext,
    streams: TheStreams,
    last_id: TheLastId,
    job_id: PathId,
    query: Annotated[ResumeQuery, Query()],
) -> Response:
    """Its history from the record, and each move as it happens, in Server-Sent Events: ``job`` for each, then ``end``.
    None is missed. With Last-Event-ID, those behind it.
    """
    del query  # read by _last_event_id; declared for the documentation, and so that others are refused
    job = await system.jobs.get(JobId(job_id))
    if job is None:
        raise NotFound("job", job_id)
    if job.ended and last_id == end_id(record_ids(job.events())[-1]):
        return OVER

    def frames(stream: Stream) -> Frames:
        return _job_frames(system, stream, job, last_id)

    return EventStreamResponse(streams, frames, with_body=visit.with_body)


@router.get(
    "/workflows/{workflow_id}/events/stream",
    summary="Follow a workflow to its end",
    response_class=Response,
    responses=answers(200, None, examples.WORKFLOW_EVENT_STREAM, refuses=(404, 422), media_type=MEDIA_TYPE)
    | {204: {"description": "It has ended, and its client has seen that"}},
)
async def follow_workflow(
    *,
    system: TheSystem,
    visit: TheRequestContext,
    streams: TheStreams,
    last_id: TheLastId,
    workflow_id: PathId,
    query: Annotated[ResumeQuery, Query()],
) -> Response:
    """Its status, now and whenever it changes, and the moves of its jobs as they happen, in Server-Sent Events:
    ``workflow`` and ``job``, then ``end``; ``ready``, ``gap`` and ``dropped`` as for all events. With Last-Event-ID,
    the moves from there on.
    """
    del query  # as above
    workflow = await system.workflows.get(WorkflowId(workflow_id))
    if workflow is None:
        raise NotFound("workflow", workflow_id)
    if workflow.ended and last_id == _workflow_end_id(workflow):
        return OVER

    def frames(stream: Stream) -> Frames:
        return _workflow_frames(system, streams, stream, workflow, last_id)

    return EventStreamResponse(streams, frames, with_body=visit.with_body)


async def _feed_frames(
    system: System, streams: EventStreams, stream: Stream, wanted: EventFilter, last_id: str | None
) -> Frames:
    after, lost = _place(last_id)
    async with system.event_feed.listen(
        wanted, after=after, wake=stream.wake, on_overrun=lambda: streams.drop_slow(stream)
    ) as listener:
        yield opening(system.randomness.unit()) + lost
        while stream.open:
            stream.wake.clear()
            if told := await _told(system, stream, listener):
                yield told
            elif not await system.clock.wait(stream.wake, KEEP_ALIVE):
                yield _keep_alive(listener)


async def _job_frames(system: System, stream: Stream, job: Job, last_id: str | None) -> Frames:
    with system.job_watch.watch(
        job.job_id, StatusSummary(job.status, job.lease_token), stream.wake
    ) as watched:
        told, last_id = _new_events(job, None if last_id is None else without_end(last_id))
        yield opening(system.randomness.unit()) + told
        changed = False
        while stream.open and not job.ended:
            stream.wake.clear()
            changed = watched.take()[0] or changed
            if not changed:
                if not await system.clock.wait(stream.wake, KEEP_ALIVE):
                    yield keep_alive()
                continue
            try:
                now = await system.jobs.get(job.job_id)
            except StoreUnavailable:
                await system.clock.wait(stream.wake, STORE_PAUSE)
                continue
            if now is None:
                yield frame("end", {"status": None}, event_id=end_id(last_id))
                return
            job, changed = now, False
            told, last_id = _new_events(job, last_id)
            if told:
                yield told
        if job.ended:
            yield frame("end", {"status": job.status}, event_id=end_id(last_id))


async def _workflow_frames(
    system: System, streams: EventStreams, stream: Stream, workflow: Workflow, last_id: str | None
) -> Frames:
    wanted = EventFilter(workflow_ids=frozenset({workflow.workflow_id}))
    after, lost = _place(last_id)
    seen: Workflow | None = workflow
    shown = workflow_status_view(workflow)
    ended_at: timedelta | None = None
    async with system.event_feed.listen(
        wanted, after=after, wake=stream.wake, on_overrun=lambda: streams.drop_slow(stream)
    ) as listener:
        with system.workflow_watch.watch(workflow.workflow_id, workflow, stream.wake) as watched:
            yield opening(system.randomness.unit()) + lost + frame("workflow", shown)
            while stream.open and seen is not None:
                stream.wake.clear()
                told = await _told(system, stream, listener)
                _, seen = watched.take()
                if seen is not None and (status := workflow_status_view(seen)) != shown:
                    told += frame("workflow", status)
                    shown = status
                if told:
                    yield told
                elif seen is not None and not seen.ended:
                    ended_at = None
                    if not await system.clock.wait(stream.wake, KEEP_ALIVE):
                        yield _keep_alive(listener)
                elif seen is not None:
                    now = system.clock.monotonic()
                    ended_at = ended_at or now
                    if now - ended_at >= QUIET_AT_MOST or not await system.clock.wait(stream.wake, QUIET):
                        yield frame("end", {"status": seen.status}, event_id=_workflow_end_id(seen))
                        return
            if seen is None:
                yield frame("end", {"status": None})


def _place(last_id: str | None) -> tuple[Mark | None, bytes]:
    """Where to go on, and what there is to say about it: from an id that nobody here has made, nobody can go on."""
    after = None if last_id is None else mark_of(last_id)
    unknown = last_id is not None and after is None
    return after, _frame_of(Gap(Missed.UNKNOWN_ID)) if unknown else b""


async def _told(system: System, stream: Stream, listener: Listener) -> bytes:
    """What there is to tell; a sign of life, after a while, where the store is away."""
    try:
        return b"".join(map(_frame_of, await listener.take()))
    except StoreUnavailable:
        await system.clock.wait(stream.wake, STORE_PAUSE)
        stream.wake.set()  # to try again
        return keep_alive()


def _frame_of(item: Item) -> bytes:
    match item:
        case Move():
            if item.frame is None:
                item.frame = frame("job", notice_view(item.notice), event_id=mark_id(item.mark))
            return item.frame
        case Ready(mark=mark):
            return frame("ready", {"at": mark.at}, event_id=mark_id(mark))
        case Gap(why=why):
            return frame("gap", {"reason": why})


def _keep_alive(listener: Listener) -> bytes:
    mark = listener.mark
    return keep_alive(None if mark is None else mark_id(mark))


def _new_events(job: Job, last_id: str | None) -> tuple[bytes, str]:
    """The frames of what came behind the event of this id, all where there is no such event, and the last id."""
    events = job.events()
    ids = record_ids(events)
    begin = ids.index(last_id) + 1 if last_id in ids else 0
    frames = (
        frame("job", move_view(job, event), event_id=event_id)
        for event, event_id in zip(events[begin:], ids[begin:], strict=True)
    )
    return b"".join(frames), ids[-1]


def _workflow_end_id(workflow: Workflow) -> str:
    return ended_workflow_id(workflow.completed_at or workflow.canceled_at)
