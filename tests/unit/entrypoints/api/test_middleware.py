import gc
from typing import Any
from weakref import ref

import httpx
import pytest
import structlog
from attrs import evolve
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.adapters.telemetry.http_metrics import HttpMetrics
from schedora.application.request_scope import current_request
from schedora.application.telemetry.sampling import EVERYTHING
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.api.middleware import RequestMiddleware
from schedora.entrypoints.api.request_context import request_context_of
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import Api, submit

NOBODY = "0198f000-0000-7000-8000-000000000000"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("header", ["X-Correlation-ID", "x-request-id"])
async def test_a_correlation_id_comes_back(api: Api, header: str) -> None:
    answer = await api.get("/jobs", headers={header: "order-42/try:1"})

    assert answer.headers["x-correlation-id"] == "order-42/try:1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é", "a\x00b", "a\x7f"])
async def test_one_that_would_do_harm_in_a_log_is_replaced(api: Api, given: str) -> None:
    answer = await api.get("/jobs", headers=[(b"x-correlation-id", given.encode("latin-1"))])

    assert answer.status_code == 200
    assert len(answer.headers["x-correlation-id"]) == 32


async def test_each_request_without_one_gets_its_own(api: Api) -> None:
    one, two = await api.get("/jobs"), await api.get("/nowhere")

    assert one.headers["x-correlation-id"] != two.headers["x-correlation-id"]


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_the_callers_trace_goes_on_in_a_span_of_the_request(api: Api, flags: str) -> None:
    answers = [await api.get("/jobs", headers={"traceparent": TRACEPARENT[:-2] + flags}) for _ in range(2)]

    spans = [answer.headers["traceparent"].split("-") for answer in answers]
    assert {(version, trace, told) for version, trace, _, told in spans} == {
        ("00", TRACEPARENT.split("-")[1], flags)
    }
    assert len({TRACEPARENT.split("-")[2], *(span for _, _, span, _ in spans)}) == 3


async def test_a_request_without_a_trace_begins_one(api: Api) -> None:
    job = await submit(api)
    answer = await api.get("/nowhere")

    assert answer.headers["traceparent"].split("-")[1] == answer.json()["trace_id"] != job["trace_id"]


@pytest.mark.parametrize(
    "address", ["/jobs", "/queue/stats", "/health", "http://schedora.test/docs", "/jobs/{job}"]
)
async def test_head_is_get_without_a_body(api: Api, address: str) -> None:
    address = address.format(job=(await submit(api))["job_id"])
    get, head = await api.get(address), await api.head(address)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_each_request_is_one_line_in_the_log(api: Api) -> None:
    with structlog.testing.capture_logs() as lines:
        await api.get("/jobs/x", headers={"x-correlation-id": "c1", "traceparent": TRACEPARENT})

    [line] = lines
    assert line.pop("duration_ms") > 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "route": "/api/v1/jobs/{job_id}",
        "status": 422,
        "correlation_id": "c1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }


async def test_the_line_of_a_request_says_what_it_was_about(api: Api) -> None:
    with structlog.testing.capture_logs() as lines:
        job_id = (await submit(api))["job_id"]
        await api.get(f"/jobs/{job_id}/events")
        await api.get("/jobs")
        flow = {"name": "flow", "jobs": [{"key": "a", "type": "work"}]}
        workflow_id = (await api.post("/workflows", json=flow)).json()["data"]["workflow_id"]
        await api.get(f"/workflows/{workflow_id}")
    told = [(line.get("job_id"), line.get("workflow_id")) for line in lines if line["event"] == "request"]
    assert told == [(job_id, None), (job_id, None), (None, None), (None, workflow_id), (None, workflow_id)]


async def test_what_is_logged_deep_inside_a_request_carries_its_identity(api: Api, system: System) -> None:
    seen: list[Any] = []

    class Reader:
        async def get(self, _: object) -> None:
            seen.append(current_request.get())

    app = create_app(evolve(system, jobs=Reader()))  # type: ignore[arg-type] # is asked for nothing else
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://schedora.test/api/v1"
    ) as client:
        answer = await client.get(f"/jobs/{NOBODY}", headers={"x-correlation-id": "c1"})
    assert answer.status_code == 404
    [request] = seen
    assert (request.correlation_id, request.subject) == ("c1", {"job_id": NOBODY})
    assert request.trace.trace_id == answer.json()["trace_id"]
    assert current_request.get() is None


async def served(app: Any, method: str = "POST", kind: str = "http") -> list[Message]:
    """What the edge around ``app`` answers to a request without body."""
    clock = VirtualClock()
    edge = RequestMiddleware(
        app, randomness=SeededRandomness(1, clock), metrics=HttpMetrics(), sampler=EVERYTHING
    )
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await edge({"type": kind, "method": method, "path": "/", "headers": []}, receive, send)
    return sent


async def test_a_failure_after_the_beginning_of_an_answer_ends_it() -> None:
    async def fails_late(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("too late")

    with pytest.raises(RuntimeError, match="too late"):
        await served(fails_late)


async def test_a_failure_is_told_to_the_log_with_its_cause() -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("the cause")

    with structlog.testing.capture_logs() as lines:
        sent = await served(fails)

    assert sent[0]["status"] == 500
    assert [line["event"] for line in lines] == ["request failed", "request"]
    assert lines[0]["exc_info"] is True
    assert lines[0]["trace_id"] == lines[1]["trace_id"]


async def test_nothing_of_a_request_waits_for_the_garbage_collector() -> None:
    visits = []

    async def answers(scope: Scope, _: Receive, send: Send) -> None:
        visits.append(ref(request_context_of(scope)))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    gc.disable()
    try:
        await served(answers)
        assert [visit() for visit in visits] == [None]
    finally:
        gc.enable()


async def test_what_is_no_request_is_passed_on() -> None:
    async def starts(scope: Scope, _: Receive, send: Send) -> None:
        await send({"type": f"{scope['type']}.done"})

    assert await served(starts, kind="lifespan") == [{"type": "lifespan.done"}]


async def test_a_caller_who_leaves_is_no_failure(app: FastAPI) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/jobs", "headers": [], "query_string": b"",
        "root_path": "", "scheme": "http", "server": ("test", 80), "http_version": "1.1",
    }  # fmt: skip
    with structlog.testing.capture_logs() as lines:
        await app(scope, receive, send)

    assert sent == []
    assert [(line["event"], line["status"]) for line in lines] == [("request", 499)]
