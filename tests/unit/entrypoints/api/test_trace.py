import threading
from base64 import b64encode
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.queries.trace import Traced
from schedora.application.telemetry.request_span import ServedRequest
from schedora.application.telemetry.sampling import SamplerKind
from schedora.application.telemetry.span import nanoseconds
from schedora.domain.ids import JobId, JsonText
from schedora.domain.run_log import RunLog
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.api.schemas.traces import TraceView, trace_view
from schedora.entrypoints.api.service import ApiService
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import DEAD, RETRYING, Api, Bench, problem, submit

NOWHERE = "0198f000-0000-7000-8000-000000000000"
IDS = {"traceId", "spanId", "parentSpanId"}
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def spans_of(answer: dict[str, Any], scope: str = "schedora") -> list[dict[str, Any]]:
    (resource,) = answer["data"]["resourceSpans"]
    return [
        span
        for scoped in resource["scopeSpans"]
        if scoped["scope"]["name"] == scope
        for span in scoped["spans"]
    ]


def attribute(span: dict[str, Any], key: str) -> Any:
    found = [one["value"] for one in span["attributes"] if one["key"] == key]
    return found[0] if found else None


async def test_the_trace_of_a_job_is_that_of_its_caller(api: Api, bench: Bench, clock: VirtualClock) -> None:
    answer = await api.post(
        "/jobs", json={"type": "work", "idempotency_key": "k1"}, headers={"traceparent": CALLER}
    )
    job = answer.json()["data"]
    clock.advance(timedelta(seconds=5))
    await bench.run(DEAD)
    told = (await api.get(f"/jobs/{job['job_id']}/trace")).json()
    assert told["data"]["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    (resource,) = told["data"]["resourceSpans"]
    assert resource["resource"]["attributes"][-1] == {
        "key": "service.name",
        "value": {"stringValue": "schedora"},
    }
    submission, wait, claim, process, settle = spans_of(told)
    assert submission["spanId"] == answer.headers["traceparent"].split("-")[2]
    assert {span["parentSpanId"] for span in (wait, claim, process)} == {submission["spanId"]}
    assert settle["parentSpanId"] == process["spanId"]
    assert int(wait["endTimeUnixNano"]) - int(wait["startTimeUnixNano"]) == 5_000_000_000
    assert process["status"] == {"code": 2, "message": "it failed"}
    assert process["events"][0]["name"] == "exception"


async def test_what_goes_on_says_that_it_is_open(api: Api, clock: VirtualClock) -> None:
    job = await submit(api)
    clock.advance(timedelta(seconds=7))
    _, wait = spans_of((await api.get(f"/jobs/{job['job_id']}/trace")).json())
    assert attribute(wait, "schedora.span.open") == {"boolValue": True}
    assert int(wait["endTimeUnixNano"]) - int(wait["startTimeUnixNano"]) == 7_000_000_000


async def test_what_the_handler_left_stands_beside(api: Api, bench: Bench, system: System) -> None:
    job = await submit(api)
    claimed = await bench.run()
    run_log = RunLog(
        job_id=claimed.job_id,
        lease_token=claimed.lease_token,
        attempt=1,
        worker_id=claimed.worker_id,
        spans=(JsonText('{"name":"query","traceId":"a"}'),),
    )
    await system.run_logs.keep([run_log])
    told = (await api.get(f"/jobs/{job['job_id']}/trace")).json()
    assert spans_of(told, "schedora.handler") == [{"name": "query", "traceId": "a"}]


async def test_no_request_is_traced_a_second_time_by_what_serves_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    job = await submit(api, type="work")
    assert (await api.get(f"/jobs/{job['job_id']}")).status_code == 200
    assert [span.name for span in exporter.get_finished_spans()] == []


async def test_a_workflows_trace_is_written_beside_the_event_loop(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def watched(traced: Traced, settings: Settings) -> TraceView:
        threads.append(threading.current_thread())
        return trace_view(traced, settings)

    monkeypatch.setattr("schedora.entrypoints.api.routes.workflows.trace_view", watched)
    flow = {"name": "flow", "jobs": [{"key": "a", "type": "work"}]}
    made = (await api.post("/workflows", json=flow)).json()["data"]
    assert (await api.get(f"/workflows/{made['workflow_id']}/trace")).status_code == 200
    (thread,) = threads
    assert thread is not threading.current_thread()


async def test_the_trace_of_a_workflow_comes_in_parts(api: Api) -> None:
    flow = {
        "name": "flow",
        "jobs": [{"key": "a", "type": "work"}, {"key": "b", "type": "work", "depends_on": ["a"]}],
    }
    made = (await api.post("/workflows", json=flow)).json()["data"]
    path = f"/workflows/{made['workflow_id']}/trace"
    whole = (await api.get(path)).json()
    assert whole["next_cursor"] is None
    assert whole["data"]["trace_id"] == made["workflow_id"].replace("-", "")
    assert [span["name"] for span in spans_of(whole)] == [
        "workflow flow", "submit default", "wait default", "wait default",
    ]  # fmt: skip
    part = (await api.get(path, params={"limit": 1})).json()
    rest = (await api.get(path, params={"limit": 1, "cursor": part["next_cursor"]})).json()
    assert rest["next_cursor"] is None
    assert [attribute(spans_of(one)[-1], "schedora.key") for one in (part, rest)] == [
        {"stringValue": "a"},
        {"stringValue": "b"},
    ]


async def test_what_is_not_there_or_wrong_is_a_problem(api: Api) -> None:
    problem(await api.get(f"/jobs/{NOWHERE}/trace"), 404)
    problem(await api.get("/jobs/7/trace"), 422, "job_id")
    problem(await api.get(f"/workflows/{NOWHERE}/trace"), 404)
    problem(await api.get(f"/workflows/{NOWHERE}/trace", params={"limit": 501}), 422, "limit")
    problem(await api.get(f"/workflows/{NOWHERE}/trace", params={"cursor": "x"}), 422, "cursor")


async def test_the_decision_is_made_at_the_submission_and_travels_with_the_job(
    settings: Settings, clock: VirtualClock
) -> None:
    settings = settings.model_copy(update={"otel_traces_sampler": SamplerKind.PARENTBASED_ALWAYS_OFF})
    system = build_system(settings, database_url=None, clock=clock, randomness=SeededRandomness(1, clock))
    transport = httpx.ASGITransport(create_app(system))
    async with httpx.AsyncClient(transport=transport, base_url="http://schedora.test/api/v1") as api:
        for number, (headers, sampled) in enumerate([({}, False), ({"traceparent": CALLER}, True)]):
            answer = await api.post(
                "/jobs", json={"type": "work", "idempotency_key": str(number)}, headers=headers
            )
            assert answer.headers["traceparent"].endswith("-01") is sampled
            job = await system.jobs.get(JobId(UUID(answer.json()["data"]["job_id"])))
            assert job is not None
            assert job.trace.traceparent == answer.headers["traceparent"]
            told = (await api.get(f"/jobs/{job.job_id}/trace")).json()
            assert [span["flags"] for span in spans_of(told)] == [int(sampled)] * 2


async def test_requests_that_stored_jobs_are_told(system: System) -> None:
    served: list[ServedRequest] = []
    transport = httpx.ASGITransport(create_app(system, on_stored=served.append))
    async with httpx.AsyncClient(transport=transport, base_url="http://schedora.test/api/v1") as api:

        async def post(path: str, body: Any, **headers: str) -> None:
            await api.post(path, json=body, headers=headers)

        one = {"type": "work", "idempotency_key": "k1"}
        await post("/jobs", one, traceparent=CALLER)
        await post("/jobs", one)  # it is there already
        await post("/jobs", {"type": ""})
        await post("/jobs/batch", {"jobs": [one]})
        await post(
            "/jobs/batch", {"jobs": [one, one | {"idempotency_key": "k2"}, one | {"idempotency_key": "k3"}]}
        )
        await post("/workflows", {"name": "empty"})
        await post("/workflows", {"name": "flow", "jobs": [{"key": "a", "type": "work"}]})
        await post("/jobs", one | {"idempotency_key": "k4"}, traceparent=f"{CALLER[:-1]}0")
        await api.get("/jobs")
    assert [(one.method, one.route, one.status, one.jobs) for one in served] == [
        ("POST", "/api/v1/jobs", 201, 1),
        ("POST", "/api/v1/jobs/batch", 201, 2),
        ("POST", "/api/v1/workflows", 201, 1),
    ]
    first, second, _ = served
    assert (first.trace.trace_id, first.parent_span_id) == (CALLER.split("-")[1], CALLER.split("-")[2])
    assert second.parent_span_id is None
    assert all(
        one.start_ns < one.end_ns and one.stored_ns == nanoseconds(system.clock.now()) for one in served
    )


async def test_the_span_of_the_request_is_kept(port: int, service: ApiService) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as api:
        answer = await api.post(
            "/jobs", json={"type": "work", "idempotency_key": "k"}, headers={"traceparent": CALLER}
        )
        await service._keeper.flush()
        told = (await api.get(f"/jobs/{answer.json()['data']['job_id']}/trace")).json()
    request, wait = spans_of(told)
    assert (request["name"], request["kind"]) == ("POST /api/v1/jobs", 2)
    assert request["parentSpanId"] == CALLER.split("-")[2]
    assert wait["parentSpanId"] == request["spanId"] == answer.headers["traceparent"].split("-")[2]


async def test_it_is_what_collectors_take(api: Api, bench: Bench) -> None:
    """By the types that OTLP is made of. Their JSON has ids in base64, where OTLP has them in hex."""
    flow = {
        "name": "flow",
        "jobs": [{"key": "a", "type": "work"}, {"key": "b", "type": "work", "depends_on": ["a"]}],
    }
    made = (await api.post("/workflows", json=flow)).json()["data"]
    await bench.run()
    await bench.run(RETRYING)
    told = (await api.get(f"/workflows/{made['workflow_id']}/trace")).json()["data"]
    taken = ParseDict(in_base64(told), ExportTraceServiceRequest(), ignore_unknown_fields=True)
    assert taken.resource_spans[0].resource.attributes[0].key.startswith("service.")
    (scope,) = taken.resource_spans[0].scope_spans
    spans = {span.span_id.hex(): span for span in scope.spans}
    documents = spans_of({"data": told})
    assert len(spans) == len(documents)
    for document in documents:
        span = spans[document["spanId"]]
        assert span.trace_id.hex() == document["traceId"]
        assert span.start_time_unix_nano == int(document["startTimeUnixNano"])
        assert len(span.attributes) == len(document["attributes"])
        assert len(span.links) == len(document.get("links", ()))
    (failed,) = [span for span in spans.values() if span.status.code == Status.STATUS_CODE_ERROR]
    assert failed.kind == Span.SPAN_KIND_CONSUMER
    assert failed.events[0].attributes[0].value.string_value == "Oops"


def in_base64(document: Any) -> Any:
    """With each id in base64."""
    match document:
        case dict():
            return {
                key: b64encode(bytes.fromhex(value)).decode() if key in IDS else in_base64(value)
                for key, value in document.items()
            }
        case list():
            return [in_base64(value) for value in document]
    return document
