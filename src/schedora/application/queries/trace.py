"""What took how long: the spans of a job, of a workflow, wherever they are kept."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import attrs
from attrs import frozen

from schedora.application.errors import NotFound
from schedora.application.ports.job_reader import JobReader
from schedora.application.ports.lineage_reader import LineageReader
from schedora.application.ports.request_spans import Asked, RequestSpans
from schedora.application.ports.run_logs import RunLogs
from schedora.application.ports.workflow_reader import WorkflowReader
from schedora.application.telemetry.job_spans import job_spans
from schedora.application.telemetry.request_span import request_span
from schedora.application.telemetry.span import Span
from schedora.application.telemetry.workflow_spans import workflow_span, workflow_trace_id
from schedora.domain.ids import JobId, JsonText, WorkflowId
from schedora.domain.job import Job

BYTES_MAX: Final = 8_000_000
"""Of what the traces in one answer are made of, or those of a job more."""


@frozen(kw_only=True)
class Traced:
    """Spans as of ``at``. ``left`` are those that handlers have left, in JSON as OTLP has it."""

    trace_id: str
    at: datetime
    spans: tuple[Span, ...]
    left: tuple[JsonText, ...]
    next_after: JobId | None = None
    """What follows begins behind this job; None where all is told."""


@frozen(kw_only=True)
class TraceSource:
    """All that the spans of jobs are made of beside their records."""

    lineage: LineageReader
    run_logs: RunLogs
    request_spans: RequestSpans

    async def trace(self, trace_id: str, jobs: Sequence[Job]) -> Traced:
        """Each span once, though jobs may share their submission."""
        job_ids = [job.job_id for job in jobs]
        upstream_ids = {upstream_id for job in jobs for upstream_id in job.request.depends_on}
        submissions = {job.trace.span_id: job.created_at for job in jobs if job.trace.sampled}
        lineage, run_logs, requests = await asyncio.gather(
            self.lineage.lineage(job_ids, upstream_ids=upstream_ids),
            self.run_logs.spans_of(job_ids),
            self.request_spans.find([Asked(span_id, at) for span_id, at in submissions.items()]),
        )
        # What was seen of a submission counts more than what its jobs tell of it.
        spans = {(span.trace_id, span.span_id): span for span in map(request_span, requests)}
        left: list[JsonText] = []
        for job in jobs:
            runs = run_logs.get(job.job_id, ())
            left += (text for run in runs for text in run.spans)
            dropped = {run.lease_token: run.spans_dropped for run in runs if run.spans_dropped}
            submission, *others = job_spans(job, lineage, dropped=dropped)
            # That of a job which another one's attempt submitted is that attempt.
            spans.setdefault((submission.trace_id, submission.span_id), submission)
            spans |= {(span.trace_id, span.span_id): span for span in others}
            await asyncio.sleep(0)  # a job may have a thousand: what else is asked is answered between two
        return Traced(trace_id=trace_id, at=lineage.at, spans=tuple(spans.values()), left=tuple(left))


@frozen(kw_only=True)
class TraceJob:
    jobs: JobReader
    source: TraceSource

    async def __call__(self, job_id: JobId) -> Traced:
        """Raises ``NotFound``."""
        job = await self.jobs.get(job_id)
        if job is None:
            raise NotFound("job", job_id)
        return await self.source.trace(job.trace.trace_id, [job])


@frozen(kw_only=True)
class TraceWorkflow:
    workflows: WorkflowReader
    source: TraceSource

    async def __call__(self, workflow_id: WorkflowId, *, limit: int, after: JobId | None) -> Traced:
        """Its own span, and those of so many of its jobs, or fewer where they are large. Raises ``NotFound``."""
        workflow = await self.workflows.get(workflow_id)
        if workflow is None:
            raise NotFound("workflow", workflow_id)
        page = await self.workflows.some_jobs(workflow_id, limit=limit, bytes_max=BYTES_MAX, after=after)
        traced = await self.source.trace(workflow_trace_id(workflow_id), page.jobs)
        return attrs.evolve(
            traced, spans=(workflow_span(workflow, page.jobs), *traced.spans), next_after=page.next_after
        )
