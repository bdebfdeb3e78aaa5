"""Traces from the request to the handler and on, as a collector gets them and as the API tells them."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector import Collected, Collector, a_collector
from tests.e2e.conftest import Api, Cluster
from tests.programs import Program, until
from tests.tiers import sampled

TRACE_ID, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{CALLER}-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE_ID}-{CALLER}-00"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with a_collector() as collector:
        yield collector


@pytest.fixture
def exporting(cluster: Cluster, collector: Collector) -> Cluster:
    """Its processes export their spans."""
    cluster.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    return cluster


@pytest.fixture
def traced_api(exporting: Cluster) -> Api:
    return exporting.api(exporting.start("api", "--port", "0"))


def a_worker(cluster: Cluster, name: str = "w", **environment: str) -> Program:
    command = ("worker", "--app", "tests.e2e.traced_handlers:app", "--worker-id", name)
    return cluster.start(*command, **environment)


def submit(api: Api, job_type: str, headers: dict[str, str], **fields: Any) -> str:
    body = {"type": job_type, "idempotency_key": job_type, "retry_base_seconds": 0, **fields}
    answer = api.http.post("/jobs", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    job_id: str = answer.json()["data"]["job_id"]
    return job_id


def derived(api: Api, job_id: str) -> dict[str, dict[str, Any]]:
    """The spans that the API tells of a job, by id."""
    answer = api.http.get(f"/jobs/{job_id}/trace")
    assert answer.status_code == 200, answer.text
    return {
        span["spanId"]: span
        for of_resource in answer.json()["data"]["resourceSpans"]
        for of_scope in of_resource["scopeSpans"]
        for span in of_scope["spans"]
    }


def of_job(collector: Collector, job_id: str) -> list[Collected]:
    return [span for span in collector.spans if span.attributes.get("messaging.message.id") == job_id]


def test_one_trace_from_the_request_to_the_jobs_of_jobs(
    exporting: Cluster, traced_api: Api, collector: Collector
) -> None:
    worker = a_worker(exporting)
    job_id = submit(traced_api, "charge", SAMPLED)
    traced_api.ended(job_id)
    collector.wait_for(
        lambda c: {"pay", "card", "print", "submit default"} <= {span.name for span in c.spans}
    )
    collector.wait_for(lambda c: len(c.named("process default")) == 2 and len(c.named("settle default")) == 2)
    assert {span.trace_id for span in collector.spans} == {TRACE_ID}
    assert len({span.span_id for span in collector.spans}) == len(collector.spans)

    collector.wait_for(lambda c: c.named("POST /api/v1/jobs"))
    [request] = collector.named("POST /api/v1/jobs")
    assert (request.parent_span_id, request.kind) == (CALLER, 2)
    assert request.resource["schedora.process.kind"] == "api"
    process = next(span for span in of_job(collector, job_id) if span.name == "process default")
    assert process.parent_span_id == request.span_id
    [pay], [card], [produced], [printed] = map(collector.named, ("pay", "card", "submit default", "print"))
    assert (pay.parent_span_id, card.parent_span_id) == (process.span_id, pay.span_id)
    assert produced.parent_span_id == pay.span_id
    [receipt] = [span for span in collector.named("process default") if span is not process]
    assert printed.parent_span_id == receipt.span_id
    assert receipt.parent_span_id == produced.span_id
    assert (pay.scope, printed.scope) == ("shop.orders", "shop.orders")
    assert process.resource["service.name"] == "schedora"
    assert process.resource["schedora.process.kind"] == "worker"

    def all_told() -> bool:
        told = derived(traced_api, job_id)
        exported = [*of_job(collector, job_id), request, pay, card, produced]
        return {span.span_id for span in exported} <= told.keys()

    until(all_told, "the API to tell the spans that were exported")
    told = derived(traced_api, job_id)
    for span in (request, *of_job(collector, job_id)):
        same = told[span.span_id]
        assert (span.name, span.parent_span_id) == (same["name"], same["parentSpanId"])
        if span.name != "wait default":
            assert (str(span.start_ns), str(span.end_ns)) == (
                same["startTimeUnixNano"],
                same["endTimeUnixNano"],
            )
    assert worker.process.poll() is None


def test_a_retry_and_a_thread(exporting: Cluster, traced_api: Api, collector: Collector) -> None:
    a_worker(exporting)
    failing = submit(traced_api, "fails_once", SAMPLED)
    thoughtful = submit(traced_api, "in_thread", SAMPLED)
    traced_api.ended(failing)
    ended = traced_api.ended(thoughtful)
    collector.wait_for(lambda c: len(c.named("try")) == 2 and c.named("think"))
    collector.wait_for(lambda c: len([s for s in of_job(c, failing) if s.name == "process default"]) == 2)
    first, second = [span for span in of_job(collector, failing) if span.name == "process default"]
    assert (first.status, second.status) == (2, 0)
    assert first.events == ("exception",)
    assert first.attributes["error.type"] == "ValueError"
    assert [span.parent_span_id for span in collector.named("try")] == [first.span_id, second.span_id]
    [think] = collector.named("think")
    assert ended["result"]["traceparent"] == f"00-{TRACE_ID}-{think.parent_span_id}-01"


def test_of_a_trace_that_is_not_sampled_failures_alone_are_told(
    exporting: Cluster, traced_api: Api, collector: Collector
) -> None:
    a_worker(exporting)
    good = submit(traced_api, "in_thread", UNSAMPLED)
    bad = submit(traced_api, "fails_once", UNSAMPLED)
    traced_api.ended(good)
    traced_api.ended(bad)
    after = submit(traced_api, "in_thread", SAMPLED, payload={}, idempotency_key="after")
    traced_api.ended(after)
    collector.wait_for(lambda c: any(s.name == "settle default" for s in of_job(c, after)))
    assert of_job(collector, good) == []
    [process] = [span for span in of_job(collector, bad) if span.name == "process default"]
    assert process.status == 2
    [failed_try] = collector.named("try")
    assert failed_try.parent_span_id == process.span_id
    assert len(collector.named("think")) == 1


def test_a_provider_of_the_program_exports_the_handlers_spans_and_schedora_its_own(
    exporting: Cluster, traced_api: Api, collector: Collector
) -> None:
    a_worker(exporting, OWN_PROVIDER="1")
    job_id = submit(traced_api, "charge", SAMPLED)
    traced_api.ended(job_id)
    collector.wait_for(lambda c: c.named("print") and len(c.named("settle default")) == 2)
    assert len({span.span_id for span in collector.spans}) == len(collector.spans)
    [pay], [printed] = collector.named("pay"), collector.named("print")
    assert {pay.resource["service.name"], printed.resource["service.name"]} == {"the program"}
    process = next(span for span in of_job(collector, job_id) if span.name == "process default")
    assert (pay.parent_span_id, process.resource["service.name"]) == (process.span_id, "schedora")
    until(lambda: pay.span_id in derived(traced_api, job_id), "the API to tell the handler's span, too")


@pytest.mark.parametrize("how", sampled(["hangs", "refuses", "is gone"], 3))
def test_jobs_go_on_whatever_the_collector_does(
    exporting: Cluster, traced_api: Api, collector: Collector, how: str
) -> None:
    match how:
        case "hangs":
            collector.let_go.clear()
        case "refuses":
            collector.status = 500
        case _:
            collector.stop()
    worker = a_worker(exporting, OTEL_EXPORTER_OTLP_TIMEOUT="0.5")
    for number in range(5):
        job_id = submit(traced_api, "in_thread", SAMPLED, idempotency_key=str(number))
        assert traced_api.ended(job_id)["status"] == "SUCCESS"
    worker.ask_to_stop()
    assert worker.ended() == 0

    until(lambda: traced_api.metric("trace_spans_lost_total") >= 5, "the spans to be counted as lost")


def test_the_reaper_tells_of_attempts_whose_worker_died(
    exporting: Cluster, traced_api: Api, collector: Collector, tmp_path: Path
) -> None:
    worker = exporting.worker("mortal")
    job_id = submit(traced_api, "first_hangs", UNSAMPLED, payload={"directory": str(tmp_path)})
    until((tmp_path / "began-1").exists, "the attempt to begin")
    until(lambda: traced_api.job(job_id)["status"] == "RUNNING", "its start to be on record")
    worker.send(signal.SIGKILL)
    exporting.start("reaper")
    collector.wait_for(lambda c: any(span.name == "process default" for span in of_job(c, job_id)))
    [process] = [span for span in of_job(collector, job_id) if span.name == "process default"]
    assert process.resource["schedora.process.kind"] == "reaper"
    assert (process.status, process.attributes["error.type"]) == (2, "worker_lost")
    same = derived(traced_api, job_id)[process.span_id]
    assert (same["startTimeUnixNano"], same["endTimeUnixNano"]) == (
        str(process.start_ns),
        str(process.end_ns),
    )


def test_jobs_of_a_workflow_are_parts_of_one_trace(
    exporting: Cluster, traced_api: Api, collector: Collector
) -> None:
    a_worker(exporting)
    jobs = [
        {"key": "first", "type": "in_thread"},
        {"key": "second", "type": "in_thread", "depends_on": ["first"]},
    ]
    answer = traced_api.http.post("/workflows", json={"name": "flow", "jobs": jobs}, headers=SAMPLED)
    assert answer.status_code == 201, answer.text
    workflow_id = answer.json()["data"]["workflow_id"]
    collector.wait_for(lambda c: len(c.named("settle default")) == 2 and c.named("POST /api/v1/workflows"))
    processes = collector.named("process default")
    [request] = collector.named("POST /api/v1/workflows")
    assert {span.parent_span_id for span in processes} == {request.span_id}
    assert {span.trace_id for span in collector.spans} == {TRACE_ID}
    assert [span.attributes["schedora.key"] for span in processes] == ["first", "second"]
    first, second = processes
    assert (first.links, second.links) == ((), ((first.trace_id, first.span_id),))
    told = traced_api.http.get(f"/workflows/{workflow_id}/trace").text
    assert all(span.span_id in told for span in processes)


def test_what_was_made_last_is_exported_at_the_end(
    exporting: Cluster, traced_api: Api, collector: Collector
) -> None:
    worker = a_worker(exporting)
    job_id = submit(traced_api, "in_thread", SAMPLED)
    traced_api.ended(job_id)
    worker.ask_to_stop()
    assert worker.ended() == 0
    assert any(span.name == "settle default" for span in of_job(collector, job_id))
