from typing import Any

import attrs
import httpx
import pytest
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from schedora.adapters.memory.faults import BEFORE_COMMIT, Faults
from schedora.application import errors as application
from schedora.domain import errors as domain
from schedora.domain.job_state import JobState
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.api.errors import TABLE, problem_of
from schedora.entrypoints.api.problems import TITLES
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import Api, a_submission, problem, submit

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (domain.InvalidField("priority", 11, "less"), 422, "invalid-request"),
        (domain.CycleFound(["a", "b", "a"]), 422, "invalid-graph"),
        (domain.UnknownKey("a", "b"), 422, "invalid-graph"),
        (domain.DuplicateKey("a"), 422, "invalid-graph"),
        (domain.IllegalMove(JobState.SUCCESS, JobState.PENDING), 409, "conflict"),
        (application.NotFound("job", 1), 404, "not-found"),
        (application.Conflict("no"), 409, "conflict"),
        (application.NameTaken("flow"), 409, "name-taken"),
        (application.WorkflowClosed("no"), 409, "workflow-closed"),
        (application.WorkerDeclaredLost("no"), 409, "worker-declared-lost"),
        (application.LeaseLost("no"), 409, "conflict"),
        (application.Invalid("no", [application.FieldError(field="a", message="b")]), 422, "invalid-request"),
        (application.TooLarge("payload", 2, 1), 413, "too-large"),
        (application.NotJson("no"), 422, "invalid-request"),
        (application.StoreUnavailable("no"), 503, "unavailable"),
        (application.SchemaMismatch("no"), 503, "unavailable"),
        (RequestValidationError([]), 422, "invalid-request"),
        (HTTPException(404), 404, "not-found"),
        (HTTPException(400), 400, "bad-request"),
        (HTTPException(413), 413, "too-large"),
        (ValueError("SELECT secret"), 500, "internal"),
    ],
)
def test_each_error_has_its_problem(error: Exception, status: int, kind: str) -> None:
    told = problem_of(error)

    assert (told.status, told.kind) == (status, kind)
    assert kind in TITLES


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind} | {found for child in kind.__subclasses__() for found in subclasses(child)}


@pytest.mark.parametrize("root", [domain.DomainError, application.ApplicationError])
def test_no_error_that_can_be_foreseen_is_the_servers_own(root: type[Exception]) -> None:
    ours = {kind for kind in subclasses(root) if kind.__module__.startswith("schedora.")} - {root}

    assert [kind for kind in ours if not any(parent in TABLE for parent in kind.__mro__)] == []


async def test_an_address_that_is_none(api: Api) -> None:
    for address in ("/nowhere", "/jobs/", "http://schedora.test/", "http://schedora.test/api/v2/jobs"):
        problem(await api.get(address), 404)


@pytest.mark.parametrize(
    ("method", "address", "allowed"),
    [
        ("PUT", "/jobs", "GET, POST"),
        ("DELETE", "/jobs/x", "GET"),
        ("GET", "/jobs/batch/x", None),
        ("PATCH", "/workflows", "GET, POST"),
        ("GET", "/dlq/x", "DELETE"),
        ("GET", "/workers/register", "POST"),
        ("OPTIONS", "/jobs", "GET, POST"),
        ("POST", "http://schedora.test/health", "GET"),
        ("POST", "http://schedora.test/openapi.json", "GET"),
        ("DELETE", "http://schedora.test/docs/assets/swagger-ui.css", "GET"),
    ],
)
async def test_a_method_that_is_not_allowed(api: Api, method: str, address: str, allowed: str | None) -> None:
    answer = await api.request(method, address)

    if allowed is None:
        problem(answer, 404)
    else:
        problem(answer, 405)
        assert answer.headers["allow"] == allowed


async def test_a_problem_tells_the_callers_trace(api: Api) -> None:
    told = problem(await api.get("/nowhere", headers={"traceparent": TRACEPARENT}), 404)

    assert told["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert len(problem(await api.get("/nowhere"), 404)["trace_id"]) == 32


CALLS = [
    ("POST", "/jobs", a_submission()), ("POST", "/jobs/batch", {"jobs": [a_submission()]}), ("GET", "/jobs", None),
    ("GET", "/jobs/{job}", None), ("GET", "/jobs/{job}?wait=1", None), ("POST", "/jobs/{job}/cancel", None),
    ("POST", "/jobs/{job}/retry", None), ("GET", "/jobs/{job}/events", None), ("GET", "/dlq", None),
    ("POST", "/dlq/{job}/requeue", None), ("POST", "/dlq/requeue", None), ("DELETE", "/dlq/{job}", None),
    ("POST", "/workflows", {"name": "flow"}), ("GET", "/workflows", None), ("GET", "/workflows/{job}", None),
    ("GET", "/workflows/{job}/status", None), ("POST", "/workflows/{job}/cancel", None),
    ("POST", "/workflows/{job}/retry", None), ("POST", "/workers/register", {"worker_id": "w1"}),
    ("POST", "/workers/w1/heartbeat", {}), ("GET", "/workers", None), ("POST", "/workers/w1/drain", None),
    ("GET", "/queue/stats", None), ("POST", "/queue/purge", None), ("POST", "/queues/q/pause", None),
    ("POST", "/queues/q/resume", None), ("PUT", "/queues/q/retention", {}), ("GET", "/health", None), ("GET", "/health/ready", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "address", "body"), CALLS)
async def test_every_call_answers_503_while_the_store_is_away(
    api: Api, faults: Faults, method: str, address: str, body: Any
) -> None:
    job = await submit(api, idempotency_key="before")
    faults.away = True

    answer = await api.request(method, address.format(job=job["job_id"]), json=body)

    told = problem(answer, 503)
    assert answer.headers["retry-after"] == "1"
    assert "memory store" not in told["detail"]


async def test_what_could_not_be_stored_can_be_tried_again(api: Api, faults: Faults) -> None:
    faults.fail(BEFORE_COMMIT)
    problem(await api.post("/jobs", json=a_submission()), 503)

    assert (await api.post("/jobs", json=a_submission())).status_code == 201


async def test_a_failure_of_our_own_tells_nothing_of_itself(system: System) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("password=hunter2 SELECT * FROM jobs")

    app = create_app(attrs.evolve(system, submit_jobs=fails, requeue_dead=fails))  # type: ignore[arg-type] # that fail
    transport = httpx.ASGITransport(app)
    client = httpx.AsyncClient(transport=transport, base_url="http://schedora.test/api/v1")
    with structlog.testing.capture_logs():
        async with client as api:
            answers = [await api.post("/jobs", json=a_submission()), await api.post("/dlq/requeue")]
    for answer in answers:
        problem(answer, 500)
        assert "hunter2" not in answer.text
        assert "Traceback" not in answer.text
