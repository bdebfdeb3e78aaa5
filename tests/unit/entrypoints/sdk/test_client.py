"""Both clients against a real API: each does all that the API offers."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from schedora import (
    AsyncSchedoraClient,
    ConflictError,
    JobState,
    JobView,
    NotFoundError,
    PayloadTooLarge,
    SchedoraClient,
    SchedoraError,
    Unavailable,
    ValidationFailed,
    WorkflowState,
)
from schedora.application.errors import NotJson
from schedora.diagnosis.doctor.finding import Severity
from schedora.domain.errors import InvalidField
from schedora.domain.worker import WorkerState
from schedora.entrypoints.sdk import conversation
from schedora.entrypoints.sdk.errors import ServerError
from schedora.entrypoints.sdk.server_url import api_url
from tests.unit.entrypoints.sdk.odd_server import OddServer, an_odd_server
from tests.unit.entrypoints.sdk.serving import WORKER_ID, served

NOBODY = UUID("0198f000-0000-7000-8000-000000000000")
NOWHERE = "http://127.0.0.1:1"

METHODS = [
    "submit",
    "submit_many",
    "get_job",
    "list_jobs",
    "wait",
    "cancel_job",
    "retry_job",
    "job_events",
    "job_why",
    "job_trace",
    "workflow_trace",
    "job_logs",
    "stream_events",
    "stream_job_events",
    "stream_workflow_events",
    "create_workflow",
    "get_workflow",
    "list_workflows",
    "workflow_status",
    "cancel_workflow",
    "retry_workflow",
    "list_workers",
    "drain_worker",
    "queue_stats",
    "pause_queue",
    "resume_queue",
    "purge_queue",
    "list_dlq",
    "requeue",
    "health",
    "deep_health",
]

Open = Callable[..., Any]
"""Makes a client of either kind whose methods are to be awaited."""


class Awaited:
    """The client that waits, made one that is awaited: in a thread, as a program without an event loop."""

    def __init__(self, client: SchedoraClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return lambda *args, **kwargs: asyncio.to_thread(method, *args, **kwargs)


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with served() as url:
        yield url


@pytest.fixture(params=["waits", "awaits"])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    clients: list[Any] = []

    def open_client(url: str, **more: Any) -> Any:
        client = (
            Awaited(SchedoraClient(url, **more))
            if request.param == "waits"
            else AsyncSchedoraClient(url, **more)
        )
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        await client.close()


@pytest.fixture
def client(opened: Open, server_url: str) -> Any:
    return opened(server_url)


@pytest.fixture
def odd_server() -> Iterator[OddServer]:
    with an_odd_server() as server:
        yield server


@pytest.fixture
def no_second_thought(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not answer is not asked again."""
    monkeypatch.setattr(conversation, "PAUSES_SECONDS", ())


@pytest.fixture
def queue() -> str:
    """The name of a queue that nobody serves."""
    return f"q-{uuid4()}"


@pytest.mark.parametrize("kind", [SchedoraClient, AsyncSchedoraClient])
def test_both_clients_have_every_method_and_say_what_it_does(kind: type[Any]) -> None:
    for name in METHODS:
        method = getattr(kind(NOWHERE), name)
        assert callable(method), name
        assert inspect.getdoc(method), name
        assert inspect.getdoc(getattr(kind, name)) == inspect.getdoc(method)


async def test_submit_and_wait(client: Any) -> None:
    job = await client.submit("echo", {"a": [1, "ü", None]})
    assert isinstance(job, JobView)
    assert (job.type, job.payload, job.created, job.same_request) == (
        "echo",
        {"a": [1, "ü", None]},
        True,
        True,
    )
    done = await client.wait(job, timeout=30)
    assert (done.status, done.value(), done.worker_id) == (JobState.SUCCESS, {"a": [1, "ü", None]}, WORKER_ID)
    assert await client.get_job(job.job_id) == await client.get_job(str(job.job_id)) == done
    assert hash(done) == hash(await client.get_job(job))


async def test_submit_carries_every_field(client: Any, queue: str) -> None:
    workflow = await client.create_workflow(f"w-{uuid4()}")
    upstream = await client.submit("echo", queue=queue, workflow_id=workflow.workflow_id)
    at = datetime(2999, 1, 31, 8, tzinfo=UTC)
    key = str(uuid4())
    job = await client.submit(
        "echo", idempotency_key=key, priority=9, queue=queue, scheduled_at=at, max_retries=0,
        retry_policy="jitter", retry_base_seconds=timedelta(minutes=1), retry_max_seconds=90.5, timeout_seconds=3,
        workflow_id=workflow.workflow_id, depends_on=[upstream],
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )  # fmt: skip
    assert (job.idempotency_key, job.priority, job.queue, job.scheduled_at) == (key, 9, queue, at)
    assert (job.max_retries, job.retry_policy) == (0, "jitter")
    assert (job.retry_base_seconds, job.retry_max_seconds, job.timeout_seconds) == (60, 90.5, 3)
    assert (job.workflow_id, job.depends_on) == (workflow.workflow_id, (upstream.job_id,))
    assert job.trace_id == "0af7651916cd43dd8448eb211c80319c"
    by_text = await client.submit(
        "echo", queue=queue, workflow_id=str(workflow.workflow_id), depends_on=[str(upstream.job_id)]
    )
    assert by_text.depends_on == job.depends_on


async def test_a_key_that_is_taken_finds_its_job(client: Any, queue: str) -> None:
    key = str(uuid4())
    first = await client.submit("echo", {"a": 1}, idempotency_key=key, queue=queue)
    again = await client.submit("echo", {"a": 1}, idempotency_key=key, queue=queue)
    other = await client.submit("echo", {"a": 2}, idempotency_key=key, queue=queue)
    assert first.job_id == again.job_id == other.job_id
    assert [job.created for job in (first, again, other)] == [True, False, False]
    assert [job.same_request for job in (first, again, other)] == [True, True, False]
    assert other.payload == {"a": 1}


async def test_submissions_without_a_key_are_jobs_of_their_own(client: Any, queue: str) -> None:
    one, other = await client.submit("echo", queue=queue), await client.submit("echo", queue=queue)
    assert one.job_id != other.job_id
    assert one.idempotency_key != other.idempotency_key


async def test_submit_many(client: Any, queue: str) -> None:
    key = str(uuid4())
    keyed = {"type": "echo", "payload": {"a": 2}, "idempotency_key": key, "queue": queue}
    rows = await client.submit_many(
        [{"type": "echo", "queue": queue}, keyed, keyed, {**keyed, "payload": {"a": 3}}]
    )
    assert [row.outcome for row in rows] == ["created", "created", "existing", "existing"]
    assert [row.created for row in rows] == [True, True, False, False]
    assert [row.same_request for row in rows] == [True, True, True, False]
    assert rows[1].job_id == rows[2].job_id == rows[3].job_id
    assert (await client.get_job(rows[1].job_id)).payload == {"a": 2}
    with pytest.raises(ValidationFailed) as refused:
        await client.submit_many([{"type": "echo"}, {"type": ""}, {"type": "echo", "priority": 11}])
    assert [error.field for error in refused.value.errors] == ["jobs[1].type", "jobs[2].priority"]


async def test_list_jobs(client: Any, queue: str) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    kind = f"kind-{uuid4()}"
    jobs = [await client.submit(kind, queue=queue) for _ in range(3)]
    page = await client.list_jobs(type=kind, limit=2)
    assert [job.job_id for job in page] == [jobs[2].job_id, jobs[1].job_id]
    assert (len(page), page[0].job_id, page.data[1].job_id) == (2, jobs[2].job_id, jobs[1].job_id)
    rest = await client.list_jobs(type=kind, limit=2, cursor=page.next_cursor)
    assert ([job.job_id for job in rest], rest.next_cursor) == ([jobs[0].job_id], None)
    found = await client.list_jobs(
        status=[JobState.PENDING, "DEAD"], queue=queue, created_after=before, type=kind, limit=500
    )
    assert len(found) == 3
    for nothing in (
        {"status": "DEAD"}, {"queue": "other"}, {"worker_id": "nobody"}, {"workflow_id": NOBODY},
        {"created_before": before},
    ):  # fmt: skip
        assert len(await client.list_jobs(**{"type": kind, **nothing})) == 0, nothing


async def test_cancel_retry_and_events(client: Any, queue: str) -> None:
    job = await client.submit("echo", queue=queue)
    canceled = await client.cancel_job(job)
    assert (canceled.job_id, canceled.status) == (job.job_id, JobState.CANCELED)
    assert canceled.message
    with pytest.raises(ConflictError, match="CANCELED") as refused:
        await client.cancel_job(job.job_id)
    assert refused.value.status == 409
    assert (await client.retry_job(job)).status is JobState.PENDING
    with pytest.raises(ConflictError, match="PENDING"):
        await client.retry_job(job)
    events = await client.job_events(job)
    assert [(event.from_state, event.to_state) for event in events] == [
        (None, JobState.PENDING),
        (JobState.PENDING, JobState.CANCELED),
        (JobState.CANCELED, JobState.PENDING),
    ]
    assert events == sorted(events, key=lambda event: event.at)


async def test_a_job_that_waits_tells_why(client: Any, queue: str) -> None:
    workflow = await client.create_workflow(f"w-{uuid4()}")
    first = await client.submit("nobody_knows", queue=queue, workflow_id=workflow.workflow_id)
    job = await client.submit(
        "echo",
        queue=queue,
        workflow_id=workflow.workflow_id,
        depends_on=[first],
        scheduled_at=datetime(2999, 1, 1, tzinfo=UTC),
    )
    await client.pause_queue(queue)
    why = await client.job_why(job)
    assert (why.job_id, why.status, why.ready) == (job.job_id, JobState.PENDING, False)
    assert why.summary.startswith("PENDING: waits for nobody_knows ")
    waits, later, paused, unserved = why.reasons
    assert (waits.code, later.code, paused.code) == ("waits_for_jobs", "due_later", "queue_paused")
    [cause] = waits.jobs
    assert (cause.job_id, cause.status, cause.key, cause.since) == (
        first.job_id,
        JobState.PENDING,
        None,
        first.scheduled_at,
    )
    assert (later.until, later.worker_ids, later.error_kind) == (job.scheduled_at, (), None)
    assert paused.queue == queue
    assert (unserved.code, unserved.worker_ids) == ("queue_not_served", (WORKER_ID,))
    assert why.reason("queue_paused") == paused
    assert why.reason("running") is None
    unknown = (await client.job_why(first)).reason("type_unknown")
    assert unknown is not None
    assert unknown.type == "nobody_knows"


async def test_traces(client: Any) -> None:
    job = await client.wait(await client.submit("fail", {"message": "no"}, max_retries=0), timeout=30)
    traced = await client.job_trace(job)
    assert traced.trace_id == job.trace_id
    submitted, *names = [span.name.split()[0] for span in traced]
    assert submitted in {"submit", "POST"}  # the request's own span is kept a moment later
    assert names == ["wait", "claim", "process", "settle"]
    process = traced.spans[3]
    assert (process.status_message, process.events[0].attributes["exception.type"]) == ("no", "AskedToFail")
    assert traced.document["resourceSpans"]
    steps = [{"key": "a", "type": "echo"}, {"key": "b", "type": "echo", "depends_on": ["a"]}]
    flow = await client.wait_workflow(
        await client.create_workflow(f"traced {uuid4()}", jobs=steps), timeout=30
    )
    part = await client.workflow_trace(flow, limit=1)
    rest = await client.workflow_trace(flow, cursor=part.next_cursor)
    assert (part.trace_id, rest.next_cursor) == (flow.workflow_id.hex, None)
    assert [span.attributes["schedora.outcome"] for span in rest if span.name == "process default"] == [
        "SUCCESS"
    ]


async def test_a_job_tells_what_its_handler_logged(client: Any) -> None:
    job = await client.submit("say", {"words": ["a", "b"], "fails": True})
    await client.wait(job, 30)
    async with asyncio.timeout(30):
        while not (log := await client.job_logs(job)).runs:
            await asyncio.sleep(0.05)
    [run] = log.runs
    assert (log.job_id, log.status, log.ended) == (job.job_id, JobState.SUCCESS, True)
    assert (run.attempt, run.lease_token, run.worker_id, run.dropped) == (1, 1, WORKER_ID, 0)
    first, second, third = log.lines
    assert [(line.level, line.message) for line in run.lines] == [
        ("warning", "a"), ("warning", "b"), ("error", "failed"),
    ]  # fmt: skip
    assert (first.logger, first.fields, first.exception) == ("say", {"number": 1}, None)
    assert job.created_at.tzinfo is not None
    assert third.timestamp >= second.timestamp
    assert third.exception.endswith("base 10: 'it broke'")
    assert [line.message for line in (await client.job_logs(job, tail=1)).lines] == ["failed"]
    assert [line.message for line in (await client.job_logs(job, after="1-1")).lines] == ["b", "failed"]
    assert (await client.job_logs(job, attempt=2)).runs == ()
    assert (await client.job_logs(job, after=log.last)).last == log.last == "1-3"


async def test_reasons_of_a_later_version_are_read(opened: Open, odd_server: OddServer) -> None:
    reason = {"code": "moon_phase", "message": "it is the moon", "phase": 0.5}
    answer = {
        "job_id": str(NOBODY),
        "status": "PENDING",
        "ready": False,
        "summary": "PENDING: the moon",
        "reasons": [reason],
    }
    odd_server.says(200, {"data": answer})
    [told] = (await opened(odd_server.url).job_why(NOBODY)).reasons
    assert (told.code, told.message) == ("moon_phase", "it is the moon")


async def test_a_dead_job_tells_its_errors_and_is_requeued(client: Any) -> None:
    job = await client.wait(await client.submit("fail", {"message": "no"}, max_retries=0, queue="other"), 30)
    (error,) = job.errors
    assert (job.status, error.attempt, error.kind, error.message) == (JobState.DEAD, 1, "AskedToFail", "no")
    assert error.worker_id == WORKER_ID
    assert error.at.tzinfo is not None
    dead = await client.list_dlq(type="fail", queue="other", error_kind="AskedToFail", limit=1)
    assert dead[0].job_id == job.job_id
    assert await client.requeue(job) == 1
    assert len((await client.wait(job, timeout=30)).errors) == 2
    assert await client.requeue(type="fail", queue="other", error_kind="timeout") == 0
    assert await client.requeue(queue="other") >= 1
    await client.wait(job, timeout=30)
    await client.delete_dead(job)
    with pytest.raises(NotFoundError):
        await client.get_job(job)
    with pytest.raises(NotFoundError):
        await client.requeue(job)


async def test_workflows(client: Any) -> None:
    name = f"w-{uuid4()}"
    created = await client.create_workflow(
        name,
        "an order",
        {"shop": 1},
        [
            {"key": "a", "type": "echo", "payload": {"n": 1}},
            {
                "key": "b",
                "type": "fail",
                "depends_on": ["a"],
                "max_retries": 0,
                "timeout_seconds": timedelta(1),
            },
            {"key": "c", "type": "echo", "depends_on": ["a", "b"]},
        ],
    )
    assert (created.name, created.status) == (name, WorkflowState.PENDING)
    assert [job.key for job in created.jobs] == ["a", "b", "c"]
    with pytest.raises(KeyError):
        created.job_id("d")
    ended = await client.wait_workflow(created, timeout=30)
    assert (ended.status, ended.description, ended.config) == (WorkflowState.FAILED, "an order", {"shop": 1})
    assert (ended.completed_jobs, ended.failed_jobs, ended.canceled_jobs) == (1, 1, 1)
    assert ended.job("a").job_id == created.job_id("a")
    assert (created.job_id("b"), created.job_id("c")) in ended.edges
    assert await client.get_workflow(str(created.workflow_id)) == ended

    status = await client.workflow_status(created.workflow_id)
    assert (status.total_jobs, status.pending_jobs, status.running_jobs, status.ended) == (3, 0, 0, True)
    listed = await client.list_workflows(name=name, status="FAILED", limit=5)
    assert [workflow.workflow_id for workflow in listed] == [created.workflow_id]
    assert listed[0].jobs == ()
    assert (await client.retry_workflow(ended)).pending_jobs == 2
    assert (await client.wait_workflow(ended, timeout=30)).status is WorkflowState.FAILED
    with pytest.raises(ConflictError, match=name):
        await client.create_workflow(name)


async def test_a_workflow_that_waits(client: Any, queue: str) -> None:
    created = await client.create_workflow(
        f"w-{uuid4()}", jobs=[{"key": "a", "type": "echo", "queue": queue}]
    )
    with pytest.raises(TimeoutError, match="has not ended in time: it is PENDING"):
        await client.wait_workflow(created, timeout=0.01)
    with pytest.raises(ConflictError):
        await client.retry_workflow(created)
    assert (await client.cancel_workflow(created)).status is WorkflowState.CANCELED
    with pytest.raises(ConflictError):
        await client.cancel_workflow(created)


async def test_a_graph_that_can_t_be_satisfied_names_its_path(client: Any) -> None:
    with pytest.raises(ValidationFailed, match="a -> b -> a") as refused:
        await client.create_workflow(
            f"w-{uuid4()}",
            jobs=[
                {"key": "a", "type": "echo", "depends_on": ["b"]},
                {"key": "b", "type": "echo", "depends_on": ["a"]},
            ],
        )
    assert refused.value.status == 422


async def test_workers(client: Any) -> None:
    name = f"w-{uuid4()}"
    registered = await client.register_worker(
        name, hostname="h", pid=3, version="1", queues=["a"], types=["t"]
    )
    assert (registered.worker_id, registered.status, registered.queues) == (name, WorkerState.ACTIVE, ("a",))
    await client.beat_worker(name, cpu_percent=12.5, memory_percent=3)
    workers = await client.list_workers(status=WorkerState.ACTIVE)
    assert len(workers) == workers.total
    found = next(worker for worker in workers if worker.worker_id == name)
    assert (found.cpu_percent, found.memory_percent, found.types) == (12.5, 3, ("t",))
    assert (await client.drain_worker(name)).status is WorkerState.DRAINING
    with pytest.raises(NotFoundError, match="nobody"):
        await client.beat_worker("nobody")
    with pytest.raises(NotFoundError):
        await client.drain_worker("nobody")


async def test_queues(client: Any, queue: str) -> None:
    job = await client.submit("nobody handles this", queue=queue)
    paused = await client.pause_queue(queue)
    assert (paused.queue, paused.paused, paused.paused_at is None) == (queue, True, False)
    stats = await client.queue_stats()
    assert stats.queues[queue].pending_jobs == 1
    assert stats.queues[queue].paused
    assert stats.queues[queue].by_status[JobState.PENDING] == 1
    assert "nobody handles this" in stats.unhandled_types
    assert stats.pending_jobs >= 1
    assert (await client.resume_queue(queue)).paused_at is None
    assert await client.purge_queue(queue) == 1
    assert (await client.get_job(job)).status is JobState.CANCELED
    assert await client.purge_queue() >= 0


async def test_health_and_metrics(client: Any) -> None:
    health = await client.health()
    assert (health.status, health.database, health.redis) == ("healthy", "up", "disabled")
    assert health.workers.active >= 1
    assert "# TYPE jobs_created_total counter" in await client.metrics()


async def test_what_the_doctor_finds(client: Any, queue: str) -> None:
    await client.submit("echo", queue=queue)
    await client.pause_queue(queue)
    found = await client.deep_health()
    assert isinstance(found.examined_at, datetime)
    [paused] = [one for one in found.findings if one.details.get("queue") == queue]
    assert (paused.code, paused.severity, paused.check) == ("queue_paused", Severity.WARNING, "work")
    assert {check.name for check in found.checks} >= {"database", "work", "redis"}
    assert found.status in {Severity.WARNING, Severity.CRITICAL}
    await client.resume_queue(queue)
    await client.purge_queue(queue)


async def test_waiting_for_a_job_can_be_too_short(client: Any, queue: str) -> None:
    job = await client.submit("echo", queue=queue)
    for timeout in (0, 0.05, timedelta(milliseconds=10)):
        with pytest.raises(TimeoutError, match=f"job {job.job_id} has not ended in time: it is PENDING"):
            await client.wait(job, timeout=timeout)
    for wrong in (-1, "soon", float("nan")):
        with pytest.raises(InvalidField, match="timeout"):
            await client.wait(job, timeout=wrong)


async def test_waiting_asks_again_when_the_server_lets_go(
    odd_server: OddServer, opened: Open, client: Any, queue: str
) -> None:
    job = await client.submit("echo", queue=queue)
    raw = httpx.get(f"{client_url(client)}/jobs/{job.job_id}").json()
    odd_server.says(200, raw)
    odd_server.says(200, {"data": {**raw["data"], "status": "SUCCESS"}})
    assert (await opened(odd_server.url).wait(job)).status is JobState.SUCCESS
    assert odd_server.paths == [f"/api/v1/jobs/{job.job_id}?wait=60.0"] * 2


def client_url(client: Any) -> str:
    inner = getattr(client, "_client", client) if isinstance(client, Awaited) else client
    return str(inner._http.base_url).rstrip("/")


@pytest.mark.parametrize(
    "name",
    [
        "get_job",
        "wait",
        "cancel_job",
        "retry_job",
        "job_events",
        "job_why",
        "job_trace",
        "job_logs",
        "requeue",
        "delete_dead",
    ],
)
async def test_a_job_that_is_not_there(client: Any, name: str) -> None:
    with pytest.raises(NotFoundError, match=f"there is no job {NOBODY}") as refused:
        await getattr(client, name)(NOBODY)
    assert refused.value.status == 404
    problem = refused.value.problem
    assert problem is not None
    assert problem.trace_id
    assert problem.members["status"] == 404


@pytest.mark.parametrize(
    "name", ["get_workflow", "workflow_status", "wait_workflow", "cancel_workflow", "retry_workflow"]
)
async def test_a_workflow_that_is_not_there(client: Any, name: str) -> None:
    with pytest.raises(NotFoundError, match=f"there is no workflow {NOBODY}"):
        await getattr(client, name)(NOBODY)


async def test_what_breaks_rules_is_refused_field_by_field(client: Any) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await client.submit("", priority=11, queue="q" * 201)
    assert {error.field for error in refused.value.errors} == {"type", "priority", "queue"}
    assert all(error.message for error in refused.value.errors)
    with pytest.raises(ValidationFailed, match="job_id"):
        await client.get_job("no id")
    with pytest.raises(ValidationFailed, match="cursor"):
        await client.list_jobs(cursor="nonsense")


async def test_what_is_too_large_is_refused(client: Any) -> None:
    with pytest.raises(PayloadTooLarge) as refused:
        await client.submit("echo", {"text": "x" * 1_100_000})
    assert refused.value.status == 413


async def test_what_is_no_json_is_never_sent(client: Any) -> None:
    for value in (float("nan"), object(), "\ud800"):
        with pytest.raises(NotJson):
            await client.submit("echo", {"value": value})


async def test_names_that_lead_elsewhere_are_refused(client: Any) -> None:
    with pytest.raises(ValueError, match="empty name"):
        await client.pause_queue("")
    assert (await client.pause_queue("a/b?c")).queue == "a/b?c"
    await client.resume_queue("a/b?c")


@pytest.mark.usefixtures("no_second_thought")
async def test_a_server_that_is_away(opened: Open) -> None:
    client = opened(NOWHERE)
    for call in (client.health(), client.submit("echo"), client.cancel_job(NOBODY)):
        with pytest.raises(Unavailable, match="no answer from the API") as raised:
            await call
        assert (raised.value.status, raised.value.problem, raised.value.retry_after) == (None, None, None)


async def test_a_server_without_its_database(odd_server: OddServer, opened: Open) -> None:
    odd_server.says(503, {"status": 503, "detail": "no database"}, Retry_After="7")
    with pytest.raises(Unavailable, match="no database") as raised:
        await opened(odd_server.url).queue_stats()
    assert (raised.value.status, raised.value.retry_after) == (503, timedelta(seconds=7))


@pytest.mark.parametrize("retry_after", ["Wed, 21 Oct 2015 07:28:00 GMT", "-1", "9" * 400, "²"])
async def test_an_odd_wish_to_wait_is_passed_over(
    odd_server: OddServer, opened: Open, retry_after: str
) -> None:
    odd_server.says(503, {}, Retry_After=retry_after.encode("utf-8").decode("latin-1"))
    with pytest.raises(Unavailable) as raised:
        await opened(odd_server.url).queue_stats()
    assert raised.value.retry_after is None


async def test_an_unhealthy_system_is_an_answer(odd_server: OddServer, opened: Open) -> None:
    data = {
        "status": "unhealthy",
        "database": "down",
        "redis": "down",
        "workers": {"total": 0, "active": 0, "stale": 0},
    }
    odd_server.says(503, {"status": 503, "data": data})
    assert (await opened(odd_server.url).health()).database == "down"


async def test_a_gateway_in_front_of_a_system_is_not_its_health(odd_server: OddServer, opened: Open) -> None:
    odd_server.says(503, b"<html>")
    with pytest.raises(Unavailable, match="the server answered 503 Service Unavailable"):
        await opened(odd_server.url).health()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, {"detail": "broken"}, ServerError),
        (502, b"<html>", ServerError),
        (200, b"<html>", ServerError),
        (200, b"", ServerError),
        (200, {"data": [{"job_id": 3}]}, ServerError),
        (401, {"title": "Unauthorized"}, SchedoraError),
        (302, b"", SchedoraError),
        (400, {"detail": "odd", "errors": [{"field": "a", "message": "b"}, "c"]}, ValidationFailed),
    ],
)
async def test_other_answers_are_typed_errors(
    odd_server: OddServer, opened: Open, status: int, body: Any, kind: type[Exception]
) -> None:
    odd_server.says(status, body)
    with pytest.raises(SchedoraError) as raised:
        await opened(odd_server.url).list_jobs()
    assert type(raised.value) is kind


async def test_members_that_are_not_known_yet_are_passed_over(odd_server: OddServer, opened: Open) -> None:
    odd_server.says(200, {"data": {"queue": "q", "paused": False, "paused_at": None, "later": {}}, "more": 1})
    assert (await opened(odd_server.url).resume_queue("q")).queue == "q"


@pytest.mark.parametrize("name", ["list_jobs", "submit"])
async def test_a_connection_cut_off_is_tried_again_where_that_is_safe(
    monkeypatch: pytest.MonkeyPatch, server_url: str, opened: Open, name: str
) -> None:
    monkeypatch.setattr(conversation, "PAUSES_SECONDS", (0.001, 0.001))
    transport = Cut(times=2)
    client = opened(server_url, transport=transport)
    await getattr(client, name)(**({"type": "echo"} if name == "submit" else {}))
    assert transport.requests == 3
    assert len(set(transport.bodies)) == 1


async def test_a_connection_cut_off_too_often(
    monkeypatch: pytest.MonkeyPatch, server_url: str, opened: Open
) -> None:
    monkeypatch.setattr(conversation, "PAUSES_SECONDS", (0.001, 0.001))
    transport = Cut(times=9)
    with pytest.raises(Unavailable):
        await opened(server_url, transport=transport).list_jobs()
    assert transport.requests == 3


async def test_what_may_have_been_done_is_not_done_twice(server_url: str, opened: Open) -> None:
    transport = Cut(times=1)
    with pytest.raises(Unavailable, match="cut off"):
        await opened(server_url, transport=transport).purge_queue("q")
    assert transport.requests == 1


class Cut(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Cuts the first connections off once the request is sent."""

    def __init__(self, times: int) -> None:
        self.requests = 0
        self.bodies: list[bytes] = []
        self._times = times
        self._waits, self._awaits = httpx.HTTPTransport(), httpx.AsyncHTTPTransport()

    def _note(self, request: httpx.Request) -> None:
        self.requests += 1
        self.bodies.append(request.content)
        if self.requests <= self._times:
            raise httpx.ReadError("cut off", request=request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._note(request)
        return self._waits.handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._note(request)
        return await self._awaits.handle_async_request(request)

    def close(self) -> None:
        self._waits.close()

    async def aclose(self) -> None:
        await self._awaits.aclose()


async def test_headers_are_sent_with_each_request(server_url: str, opened: Open) -> None:
    seen = Cut(times=0)
    client = opened(server_url, transport=seen, headers={"Authorization": "Bearer t"})
    assert (await client.health()).status == "healthy"


async def test_an_answer_may_take_its_time_only_as_long_as_it_may(
    monkeypatch: pytest.MonkeyPatch, server_url: str, opened: Open
) -> None:
    monkeypatch.setattr(conversation, "PAUSES_SECONDS", ())
    job = await opened(server_url).submit("sleep", {"seconds": 2})
    patient = opened(server_url, timeout=1)
    assert (await patient.wait(job, timeout=30)).status is JobState.SUCCESS


def test_a_client_that_was_closed_says_so(server_url: str) -> None:
    with SchedoraClient(server_url) as client:
        client.health()
    with pytest.raises(RuntimeError, match="closed"):
        client.health()


async def test_an_asynchronous_client_that_was_closed_says_so(server_url: str) -> None:
    async with AsyncSchedoraClient(server_url) as client:
        await client.health()
    with pytest.raises(RuntimeError, match="closed"):
        await client.health()


def test_one_client_serves_many_threads(server_url: str) -> None:
    found: list[UUID] = []
    with SchedoraClient(server_url) as client:
        threads = [
            threading.Thread(target=lambda: found.append(client.submit("echo").job_id)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(found)) == 8


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://host", "http://host/api/v1"),
        ("http://host/", "http://host/api/v1"),
        ("http://host/api/v1", "http://host/api/v1"),
        ("http://host/api/v1//", "http://host/api/v1"),
        ("https://host:8443/schedora/", "https://host:8443/schedora/api/v1"),
        ("http://user:secret@[::1]:8000", "http://user:secret@[::1]:8000/api/v1"),
        (" http://host\n", "http://host/api/v1"),
    ],
)
def test_base_urls(base_url: str, url: str) -> None:
    assert api_url(base_url) == url


@pytest.mark.parametrize(
    "base_url",
    ["", "localhost:8000", "host", "/api/v1", "ftp://host", "http://", "http:///x", "http://host:port", "http://[",
     "http://ho st", "http://host?x=1", "http://host#x", None, 3],
)  # fmt: skip
@pytest.mark.parametrize("kind", [SchedoraClient, AsyncSchedoraClient])
def test_what_is_no_base_url_is_refused_at_once(kind: Any, base_url: Any) -> None:
    with pytest.raises(InvalidField, match="base_url must be a URL like http://localhost:8000"):
        kind(base_url)
