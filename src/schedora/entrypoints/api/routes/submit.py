"""Submission: the hot path of the API."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from schedora.application.errors import FieldError, Invalid, TooLarge
from schedora.domain.job_request import JobRequest
from schedora.entrypoints.api import examples
from schedora.entrypoints.api.addresses import PREFIX, job_address
from schedora.entrypoints.api.answers import answer
from schedora.entrypoints.api.body import (
    batch_limit_bytes,
    check_size,
    checked,
    parsed,
    read_body,
    single_limit_bytes,
)
from schedora.entrypoints.api.documented import answers, takes
from schedora.entrypoints.api.inputs import system_of
from schedora.entrypoints.api.problems import (
    FieldProblem,
    Problem,
    Refused,
    field_problem,
    invalid,
    placed,
    too_large,
)
from schedora.entrypoints.api.request_context import RequestContext, note_stored, request_context_of
from schedora.entrypoints.api.schemas.envelopes import Data
from schedora.entrypoints.api.schemas.job_submission import JobBatch, JobSubmission, LooseBatch
from schedora.entrypoints.api.schemas.jobs import BatchRowView, JobView, batch_row_view, submission_view
from schedora.entrypoints.system import System


class DirectRoute(APIRoute):
    """Hands the request straight to its endpoint: solving dependencies would cost a submission more than
    checking and storing it in memory does.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


router = APIRouter(prefix=PREFIX, tags=["jobs"], route_class=DirectRoute)


@router.post(
    "/jobs",
    summary="Submit a job",
    status_code=201,
    openapi_extra=takes(JobSubmission, examples.JOB_SUBMISSION),
    responses=answers(
        201, Data[JobView], {"data": examples.JOB}, refuses=(409, 413, 422), headers=("Location",)
    ),
)
async def submit_job(request: Request) -> Response:
    """Stores a job and answers it. An idempotency key that is taken answers 409 with the job that has it."""
    system = await system_of(request)
    visit = request_context_of(request)
    limit = system.settings.max_payload_bytes
    body = await read_body(request, single_limit_bytes(limit))
    check_size(body, limit)
    submission = parsed(JobSubmission, body)
    job_request = submission.request(trace=visit.trace, payload_max_bytes=limit)
    (done,) = await system.submit_jobs([job_request])
    visit.is_about(job_id=done.job_id)
    view = submission_view(done)
    if not done.created:
        detail = f"The idempotency key is taken by job {done.job_id}."
        problem = Problem(kind="key-taken", status=409, detail=detail)
        raise Refused(problem.with_members(data=view, same_request=done.same_request))
    note_stored(request, 1, done.created_at)
    return answer({"data": view}, status=201, headers={"Location": job_address(done.job_id)})


@router.post(
    "/jobs/batch",
    summary="Submit many jobs",
    status_code=201,
    openapi_extra=takes(JobBatch, {"jobs": [examples.JOB_SUBMISSION]}),
    responses=answers(201, Data[list[BatchRowView]], {"data": [examples.BATCH_ROW]}, refuses=(409, 413, 422)),
)
async def submit_batch(request: Request) -> Response:
    """Stores all jobs or, if one of them is bad, none; tells for each whether it was made or found."""
    system = await system_of(request)
    body = await read_body(request, batch_limit_bytes(system.settings.max_payload_bytes))
    requests = _requests(body, system, request_context_of(request))
    submissions = await system.submit_jobs(requests)
    if created := [submission for submission in submissions if submission.created]:
        note_stored(request, len(created), created[0].created_at)
    return answer({"data": [batch_row_view(submission) for submission in submissions]}, status=201)


def _requests(body: bytes, system: System, visit: RequestContext) -> list[JobRequest]:
    """Raises ``Refused`` that names every bad row."""
    try:
        rows: list[Any] = list(parsed(JobBatch, body).jobs)
    except Refused as refused:
        if refused.problem.kind == "malformed-json":
            raise
        # Checked one by one, so that rows are named that break rules of the domain, not of shape.
        rows = parsed(LooseBatch, body).jobs
    maximum = system.submit_jobs.batch_max
    if len(rows) > maximum:
        message = f"at most {maximum} jobs in one batch, not {len(rows)}"
        raise Invalid(message, [FieldError(field="jobs", message=message)])
    requests: list[JobRequest] = []
    errors: list[FieldProblem] = []
    oversize: list[FieldProblem] = []
    for index, row in enumerate(rows):
        try:
            submission = row if isinstance(row, JobSubmission) else checked(JobSubmission, row)
            requests.append(
                submission.request(trace=visit.trace, payload_max_bytes=system.settings.max_payload_bytes)
            )
        except Refused as refused:
            errors += placed(refused.problem.errors, f"jobs[{index}]")
        except TooLarge as error:
            oversize += placed([field_problem(error.field, str(error))], f"jobs[{index}]")
    if oversize:
        raise Refused(too_large([*oversize, *errors]))
    if errors:
        raise Refused(invalid(errors))
    return requests


ROUTES = tuple(route for route in router.routes if isinstance(route, DirectRoute))
