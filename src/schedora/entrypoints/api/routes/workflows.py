"""Workflows: created whole, looked at, canceled, retried."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from schedora.application.errors import NotFound
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.workflow import Workflow
from schedora.entrypoints.api import examples
from schedora.entrypoints.api.addresses import PREFIX, workflow_address
from schedora.entrypoints.api.answers import answer
from schedora.entrypoints.api.body import batch_limit_bytes, read_json
from schedora.entrypoints.api.cursors import cursor_of
from schedora.entrypoints.api.documented import answers, takes
from schedora.entrypoints.api.inputs import PathId, TheRequestContext, TheSystem
from schedora.entrypoints.api.request_context import note_stored
from schedora.entrypoints.api.schemas.envelopes import Data, Page
from schedora.entrypoints.api.schemas.traces import TracePage, WorkflowTraceQuery, trace_view
from schedora.entrypoints.api.schemas.workflows import (
    WorkflowCreatedView,
    WorkflowDetailView,
    WorkflowsQuery,
    WorkflowStatusView,
    WorkflowSubmission,
    WorkflowView,
    workflow_created_view,
    workflow_detail_view,
    workflow_status_view,
    workflow_view,
)
from schedora.entrypoints.system import System

router = APIRouter(prefix=PREFIX, tags=["workflows"])


@router.post(
    "/workflows",
    summary="Create a workflow",
    status_code=201,
    openapi_extra=takes(WorkflowSubmission, examples.WORKFLOW_SUBMISSION),
    responses=answers(
        201,
        Data[WorkflowCreatedView],
        {"data": examples.WORKFLOW_CREATED},
        refuses=(409, 413, 422),
        headers=("Location",),
    ),
)
async def create_workflow(request: Request, system: TheSystem, visit: TheRequestContext) -> Response:
    """Stores the whole graph or nothing. A cycle is refused with its path."""
    limit = system.settings.max_payload_bytes
    submission = await read_json(request, WorkflowSubmission, batch_limit_bytes(limit))
    created = await system.create_workflow(submission.request(trace=visit.trace, payload_max_bytes=limit))
    if created.jobs:
        note_stored(request, len(created.jobs), created.workflow.created_at)
    visit.is_about(workflow_id=created.workflow.workflow_id)
    location = workflow_address(created.workflow.workflow_id)
    return answer({"data": workflow_created_view(created)}, status=201, headers={"Location": location})


@router.get(
    "/workflows",
    summary="List workflows",
    responses=answers(
        200, Page[WorkflowView], {"data": [examples.WORKFLOW], "next_cursor": None}, refuses=(422,)
    ),
)
async def list_workflows(system: TheSystem, query: Annotated[WorkflowsQuery, Query()]) -> Response:
    """Newest first."""
    after = None if query.cursor is None else WorkflowId(query.cursor)
    page = await system.workflows.page(status=query.status, name=query.name, limit=query.limit, after=after)
    views = [workflow_view(workflow) for workflow in page.workflows]
    return answer({"data": views, "next_cursor": cursor_of(page.next_after)})


@router.get(
    "/workflows/{workflow_id}",
    summary="Show a workflow with its jobs",
    responses=answers(200, Data[WorkflowDetailView], {"data": examples.WORKFLOW_DETAIL}, refuses=(404, 422)),
)
async def get_workflow(system: TheSystem, workflow_id: PathId) -> Response:
    """Its jobs, and the edges between them."""
    workflow = await _found(system, workflow_id=WorkflowId(workflow_id))
    whole = await system.workflows.jobs(workflow.workflow_id)
    return answer({"data": workflow_detail_view(workflow, whole)})


@router.get(
    "/workflows/{workflow_id}/status",
    summary="Count a workflow's jobs",
    responses=answers(200, Data[WorkflowStatusView], {"data": examples.WORKFLOW_STATUS}, refuses=(404, 422)),
)
async def workflow_status(system: TheSystem, workflow_id: PathId) -> Response:
    """How far it is."""
    workflow = await _found(system, workflow_id=WorkflowId(workflow_id))
    return answer({"data": workflow_status_view(workflow)})


@router.get(
    "/workflows/{workflow_id}/trace",
    summary="Trace a workflow",
    responses=answers(200, TracePage, {"data": examples.TRACE, "next_cursor": None}, refuses=(404, 422)),
)
async def workflow_trace(
    system: TheSystem, workflow_id: PathId, query: Annotated[WorkflowTraceQuery, Query()]
) -> Response:
    """Its own span, and those of its jobs in the order of their ids, so many jobs at a time."""
    after = None if query.cursor is None else JobId(query.cursor)
    traced = await system.trace_workflow(WorkflowId(workflow_id), limit=query.limit, after=after)

    def told() -> Response:
        return answer(
            {"data": trace_view(traced, system.settings), "next_cursor": cursor_of(traced.next_after)}
        )

    return await asyncio.to_thread(told)  # it may be large: others are answered meanwhile


@router.post(
    "/workflows/{workflow_id}/cancel",
    summary="Cancel a workflow",
    responses=answers(200, Data[WorkflowView], {"data": examples.WORKFLOW}, refuses=(404, 409, 422)),
)
async def cancel_workflow(system: TheSystem, workflow_id: PathId) -> Response:
    """Cancels every job of it that has not ended."""
    return answer({"data": workflow_view(await system.cancel_workflow(WorkflowId(workflow_id)))})


@router.post(
    "/workflows/{workflow_id}/retry",
    summary="Retry a failed workflow",
    responses=answers(200, Data[WorkflowView], {"data": examples.WORKFLOW}, refuses=(404, 409, 422)),
)
async def retry_workflow(system: TheSystem, workflow_id: PathId) -> Response:
    """Runs again what failed and what waited for it; finished steps are kept."""
    return answer({"data": workflow_view(await system.retry_workflow(WorkflowId(workflow_id)))})


async def _found(system: System, workflow_id: WorkflowId) -> Workflow:
    workflow = await system.workflows.get(workflow_id)
    if workflow is None:
        raise NotFound("workflow", workflow_id)
    return workflow
