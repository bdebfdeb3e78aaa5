"""Workers: registered, alive, drained."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from schedora.domain.ids import WorkerId
from schedora.domain.text import check_text
from schedora.domain.worker import WORKER_ID_LENGTH_MAX
from schedora.entrypoints.api import examples
from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.answers import answer
from schedora.entrypoints.api.body import SMALL_BYTES, parsed, read_body, read_json
from schedora.entrypoints.api.documented import answers, takes
from schedora.entrypoints.api.inputs import PathWorker, TheSystem
from schedora.entrypoints.api.schemas.envelopes import Data
from schedora.entrypoints.api.schemas.workers import (
    Heartbeat,
    WorkerListView,
    WorkerRegistration,
    WorkersQuery,
    WorkerView,
    worker_view,
)

router = APIRouter(prefix=PREFIX, tags=["workers"])

REGISTRATION_BYTES = 4 * 1024 * 1024
"""A thousand queues and a thousand types, each as long as a name may be, escaped."""


@router.post(
    "/workers/register",
    summary="Register a worker",
    status_code=201,
    openapi_extra=takes(WorkerRegistration, examples.WORKER_REGISTRATION),
    responses=answers(201, Data[WorkerView], {"data": examples.WORKER}, refuses=(413, 422)),
)
async def register_worker(request: Request, system: TheSystem) -> Response:
    """Registering again under the same id renews it."""
    registration = await read_json(request, WorkerRegistration, REGISTRATION_BYTES)
    worker = await system.register_worker(registration.identity())
    return answer({"data": worker_view(worker)}, status=201)


@router.get(
    "/workers",
    summary="List workers",
    responses=answers(200, WorkerListView, {"workers": [examples.WORKER], "total": 1}, refuses=(422,)),
)
async def list_workers(system: TheSystem, query: Annotated[WorkersQuery, Query()]) -> Response:
    """Newest first."""
    states = () if query.status_filter is None else (query.status_filter,)
    workers = await system.workers.registered(states)
    return answer({"workers": [worker_view(worker) for worker in workers], "total": len(workers)})


# A worker's name may contain anything, a slash too.
@router.post(
    "/workers/{worker_id:name}/heartbeat",
    summary="Tell that a worker lives",
    status_code=204,
    openapi_extra=takes(Heartbeat, examples.HEARTBEAT, required=False),
    responses=answers(204, None, None, refuses=(404, 409, 413, 422)),
)
async def beat_worker(request: Request, system: TheSystem, worker_id: PathWorker) -> Response:
    """409 for a worker that was declared lost: it must register again."""
    body = await read_body(request, SMALL_BYTES)
    heartbeat = parsed(Heartbeat, body) if body.strip() else Heartbeat()
    await system.beat_worker(
        _worker_id(worker_id),
        cpu_percent=heartbeat.cpu_percent,
        memory_percent=heartbeat.memory_percent,
    )
    return Response(status_code=204)


@router.post(
    "/workers/{worker_id:name}/drain",
    summary="Drain a worker",
    responses=answers(200, Data[WorkerView], {"data": examples.WORKER}, refuses=(404, 409, 422)),
)
async def drain_worker(system: TheSystem, worker_id: PathWorker) -> Response:
    """It takes no new jobs and finishes what it runs."""
    return answer({"data": worker_view(await system.drain_worker(_worker_id(worker_id)))})


def _worker_id(text: str) -> WorkerId:
    check_text("worker_id", text, length_max=WORKER_ID_LENGTH_MAX)
    return WorkerId(text)
