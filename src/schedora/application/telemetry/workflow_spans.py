"""The span of a workflow, derived from its record: the root of a trace of its own, whose id is the workflow's."""

from collections.abc import Iterable
from typing import Final

from schedora.application.telemetry.span import (
    AttributeValue,
    Span,
    SpanKind,
    SpanLink,
    SpanStatus,
    linked,
    nanoseconds,
    process_span_id,
    span_id_of,
)
from schedora.domain.ids import WorkflowId
from schedora.domain.job import Job
from schedora.domain.workflow import Workflow, WorkflowState

_PART: Final = "workflow"


def workflow_trace_id(workflow_id: WorkflowId) -> str:
    """32 hex digits."""
    return f"{workflow_id.int:032x}"


def workflow_span(workflow: Workflow, jobs: Iterable[Job]) -> Span:
    """Links to its ``jobs``, whose traces are those of whoever submitted them: to the newest attempt of each, to the
    submission where there is none.
    """
    counts = workflow.counts
    told: dict[str, AttributeValue] = {
        "schedora.workflow_id": str(workflow.workflow_id),
        "schedora.workflow.name": workflow.name,
        "schedora.outcome": workflow.status,
        "schedora.jobs": counts.total,
    }
    failed = workflow.status is WorkflowState.FAILED
    span = Span(
        trace_id=workflow_trace_id(workflow.workflow_id),
        span_id=span_id_of(workflow.workflow_id, workflow.created_at, _PART),
        parent_span_id=None,
        name=f"workflow {workflow.name}",
        kind=SpanKind.INTERNAL,
        start_ns=nanoseconds(workflow.created_at),
        end_ns=_end_ns(workflow),
        attributes=told,
        status=SpanStatus.ERROR if failed else SpanStatus.UNSET,
        status_message=f"{counts.failed} of {counts.total} jobs are DEAD" if failed else "",
    )
    return linked(span, list(jobs), _link)


def _end_ns(workflow: Workflow) -> int | None:
    if not workflow.ended or workflow.completed_at is None:
        return None
    return nanoseconds(max(workflow.created_at, workflow.completed_at))  # a clock may be set back


def _link(job: Job) -> SpanLink:
    about: dict[str, AttributeValue] = {"schedora.job_id": str(job.job_id)}
    if job.request.key is not None:
        about["schedora.key"] = job.request.key
    attempt = None if job.claimed_at is None else process_span_id(job.job_id, job.claimed_at)
    return SpanLink(trace_id=job.trace.trace_id, span_id=attempt or job.trace.span_id, attributes=about)
