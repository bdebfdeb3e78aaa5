import asyncio
from collections.abc import Mapping

import pytest

from schedora.application.errors import NotFound
from schedora.application.queries.trace import TraceJob, TraceSource, TraceWorkflow
from schedora.application.telemetry.job_spans import job_spans
from schedora.application.telemetry.lineage import Lineage
from schedora.application.telemetry.request_span import ServedRequest, request_span
from schedora.application.telemetry.span import Span, nanoseconds, process_span_id
from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkflowId
from schedora.domain.job import Job
from schedora.domain.outcome import Succeeded
from schedora.domain.run_log import RunLog
from schedora.domain.trace import TraceContext
from tests.builders import a_job_id, a_request, a_workflow_id
from tests.contract.memory import a_memory_store, memory_stores
from tests.contract.stores import Stores


@pytest.fixture
def stores() -> Stores:
    return memory_stores(a_memory_store())


@pytest.fixture
def source(stores: Stores) -> TraceSource:
    return TraceSource(
        lineage=stores.lineage_reader, run_logs=stores.run_logs, request_spans=stores.request_spans
    )


@pytest.fixture
def trace_job(stores: Stores, source: TraceSource) -> TraceJob:
    return TraceJob(jobs=stores.job_reader, source=source)


@pytest.fixture
def trace_workflow(stores: Stores, source: TraceSource) -> TraceWorkflow:
    return TraceWorkflow(workflows=stores.workflow_reader, source=source)


async def run(stores: Stores) -> RunLog:
    """Claims the next job, which succeeds, and leaves a span and a half."""
    (claimed,) = await stores.claim(await stores.worker(), limit=1)
    run_log = RunLog(
        job_id=claimed.job_id,
        lease_token=claimed.lease_token,
        attempt=claimed.current_attempt,
        worker_id=claimed.worker_id,
        spans=(JsonText(f'{{"name":"{claimed.job_id}"}}'),),
        spans_dropped=2,
    )
    await stores.run_logs.keep([run_log])
    await stores.complete(claimed, Succeeded())
    return run_log


def attempts(spans: tuple[Span, ...]) -> list[Span]:
    return [span for span in spans if span.name.startswith("process")]


async def test_a_job_is_traced_with_what_its_handler_left(stores: Stores, trace_job: TraceJob) -> None:
    job = await stores.submit_one()
    run_log = await run(stores)
    traced = await trace_job(job.job_id)
    assert traced.trace_id == job.trace.trace_id
    assert traced.left == run_log.spans
    assert [span.name.split()[0] for span in traced.spans] == ["submit", "wait", "claim", "process", "settle"]
    (attempt,) = attempts(traced.spans)
    assert attempt.attributes["schedora.spans_dropped"] == 2
    assert traced.next_after is None


async def test_what_was_seen_of_the_submission_counts_more(stores: Stores, trace_job: TraceJob) -> None:
    job = await stores.submit_one()
    stored_ns = nanoseconds(job.created_at)
    served = ServedRequest(
        job.trace, "00f067aa0ba902b7", "POST", "/api/v1/jobs", 201, stored_ns - 5, stored_ns + 9, 1, stored_ns
    )
    await stores.request_spans.keep([served])
    submission, wait = (await trace_job(job.job_id)).spans
    assert submission == request_span(served)
    assert wait.parent_span_id == submission.span_id
    unsampled = await stores.submit_one(
        a_request(trace=TraceContext(trace_id="2" * 32, span_id=job.trace.span_id, sampled=False))
    )
    assert (await trace_job(unsampled.job_id)).spans[0].name == "submit default"


async def test_an_attempt_counts_more_than_a_submission_inside_of_it(
    stores: Stores, source: TraceSource
) -> None:
    """Whose span is the attempt's. By its id the job may come first: clocks differ."""
    job = await stores.submit_one()
    await run(stores)
    job = await stores.job(job.job_id)
    assert job.claimed_at is not None
    within = job.trace.followed_by(process_span_id(job.job_id, job.claimed_at))
    submitted = await stores.submit_one(a_request(trace=within))
    traced = await source.trace("t", [submitted, job])
    assert [span.name for span in attempts(traced.spans)] == ["process default"]
    assert len({span.span_id for span in traced.spans}) == len(traced.spans) == 6


async def test_what_is_not_there_can_not_be_traced(
    trace_job: TraceJob, trace_workflow: TraceWorkflow
) -> None:
    with pytest.raises(NotFound):
        await trace_job(a_job_id())
    with pytest.raises(NotFound):
        await trace_workflow(a_workflow_id(), limit=1, after=None)


async def a_flow(stores: Stores) -> tuple[WorkflowId, list[JobId]]:
    """Two jobs, the second behind the first, both submitted in one breath."""
    flow = await stores.workflow()
    first = await stores.submit_one(a_request(workflow_id=flow, key="a"))
    second = await stores.submit_one(
        a_request(workflow_id=flow, key="b", depends_on=(first.job_id,)), waits_for=1
    )
    return flow, [first.job_id, second.job_id]


async def test_a_workflow_is_traced_job_by_job(stores: Stores, trace_workflow: TraceWorkflow) -> None:
    flow, (first, second) = await a_flow(stores)
    await run(stores)
    traced = await trace_workflow(flow, limit=2, after=None)
    root, submission, *others = traced.spans
    assert (root.name, root.trace_id, traced.trace_id) == ("workflow flow", flow.hex, flow.hex)
    assert len(root.links) == 2
    assert submission.name == "submit default"
    assert [span.name for span in others].count("submit default") == 0  # both were submitted by the same
    (attempt,) = attempts(traced.spans)
    (waiting,) = [span for span in others if span.attributes["messaging.message.id"] == str(second)]
    assert [link.span_id for link in waiting.links] == [attempt.span_id]
    assert traced.next_after is None
    assert str(first) in traced.left[0]


async def test_a_large_workflow_is_traced_in_parts(stores: Stores, trace_workflow: TraceWorkflow) -> None:
    flow, (first, second) = await a_flow(stores)
    part = await trace_workflow(flow, limit=1, after=None)
    assert part.next_after == first
    rest = await trace_workflow(flow, limit=1, after=part.next_after)
    assert rest.next_after is None
    assert {span.attributes.get("messaging.message.id") for span in rest.spans} == {None, str(second)}


async def test_others_have_their_turn_between_two_jobs(
    stores: Stores, trace_workflow: TraceWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, _ = await a_flow(stores)
    turns, seen = 0, []

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def counted(job: Job, lineage: Lineage, *, dropped: Mapping[LeaseToken, int]) -> list[Span]:
        seen.append(turns)
        return job_spans(job, lineage, dropped=dropped)

    monkeypatch.setattr("schedora.application.queries.trace.job_spans", counted)
    beside = asyncio.create_task(other())
    await trace_workflow(flow, limit=2, after=None)
    beside.cancel()
    first, second = seen
    assert first < second
