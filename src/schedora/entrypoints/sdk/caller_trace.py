"""The trace that a program is in while it submits jobs: theirs continues it.

OpenTelemetry is asked where the program uses it, and is not imported for that.
"""

import sys
from typing import Any

from schedora.application.run_scope import current_run
from schedora.application.telemetry.span import process_span_id
from schedora.domain.trace import TraceContext

TRACEPARENT = "traceparent"


def caller_trace() -> TraceContext | None:
    """The current span, else the attempt whose handler this is; None where nothing is traced."""
    tracing = opentelemetry()
    if tracing is not None:
        context = tracing.get_current_span().get_span_context()
        if context.is_valid:
            return continued(context)
    scope = current_run.get()
    if scope is None:
        return None
    job = scope.job
    return TraceContext.stored(job.traceparent).followed_by(process_span_id(job.job_id, job.claimed_at))


def opentelemetry() -> Any:
    """Its module for traces; None unless the program has imported all of it."""
    tracing = sys.modules.get("opentelemetry.trace")
    return tracing if hasattr(tracing, "get_tracer_provider") else None


def continued(context: Any) -> TraceContext:
    return TraceContext(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        sampled=context.trace_flags.sampled,
    )
