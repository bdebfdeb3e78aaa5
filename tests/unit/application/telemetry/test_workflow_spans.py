from datetime import timedelta

import attrs

from schedora.application.telemetry.span import (
    LINKS_MAX,
    SpanKind,
    SpanStatus,
    nanoseconds,
    process_span_id,
    span_id_of,
)
from schedora.application.telemetry.workflow_spans import workflow_span, workflow_trace_id
from schedora.domain.job_state import JobState
from tests.builders import NOON, SECOND, a_job, a_request, a_workflow


def test_a_workflow_is_the_root_of_a_trace_of_its_own() -> None:
    flow = a_workflow(name="order", counts={"total": 2, "succeeded": 1})
    span = workflow_span(flow, [])
    assert span.trace_id == workflow_trace_id(flow.workflow_id) == flow.workflow_id.hex
    assert (span.name, span.parent_span_id, span.end_ns) == ("workflow order", None, None)
    assert span.start_ns == nanoseconds(NOON)
    assert span.span_id == span_id_of(flow.workflow_id, NOON, "workflow")
    assert (span.kind, span.status, span.status_message) == (SpanKind.INTERNAL, SpanStatus.UNSET, "")
    assert span.attributes == {
        "schedora.workflow_id": str(flow.workflow_id),
        "schedora.workflow.name": "order",
        "schedora.outcome": "RUNNING",
        "schedora.jobs": 2,
    }


def test_one_that_has_failed_says_so() -> None:
    flow = a_workflow(counts={"total": 2, "succeeded": 1, "failed": 1}, completed_at=NOON + 5 * SECOND)
    span = workflow_span(flow, [])
    assert (span.status, span.status_message) == (SpanStatus.ERROR, "1 of 2 jobs are DEAD")
    assert span.end_ns == nanoseconds(NOON + timedelta(seconds=5))
    clock_set_back = a_workflow(counts={"total": 1, "succeeded": 1}, completed_at=NOON - SECOND)
    assert workflow_span(clock_set_back, []).end_ns == nanoseconds(NOON)
    succeeded = a_workflow(counts={"total": 1, "succeeded": 1}, completed_at=NOON)
    assert workflow_span(succeeded, []).status is SpanStatus.UNSET
    untimed = a_workflow(counts={"total": 1, "succeeded": 1}, completed_at=None)
    assert workflow_span(untimed, []).end_ns is None


def test_it_links_to_its_jobs() -> None:
    waiting = a_job(request=a_request(key="a"))
    running = a_job(JobState.RUNNING)
    span = workflow_span(a_workflow(), [waiting, running])
    first, second = span.links
    assert (first.trace_id, first.span_id) == (waiting.trace.trace_id, waiting.trace.span_id)
    assert first.attributes == {"schedora.job_id": str(waiting.job_id), "schedora.key": "a"}
    assert running.claimed_at is not None
    assert second.span_id == process_span_id(running.job_id, running.claimed_at)
    many = workflow_span(a_workflow(), [attrs.evolve(waiting)] * (LINKS_MAX + 1))
    assert (len(many.links), many.links_dropped) == (LINKS_MAX, 1)
