"""One job as the live view shows it: what is known of it, in sections."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from rich.text import Text

from schedora.domain.events import JobEvent
from schedora.entrypoints.cli.job_logs import as_text
from schedora.entrypoints.cli.printing import cell, compact, moment, one_line, plain
from schedora.entrypoints.cli.trace import DRAWN_SHORTER, drawn
from schedora.entrypoints.cli.waterfall import UNICODE
from schedora.entrypoints.sdk.api_views import WhyView
from schedora.entrypoints.sdk.log_views import JobLogView
from schedora.entrypoints.sdk.trace_view import TraceView
from schedora.entrypoints.sdk.views import JobView

DOCUMENT_MAX = 2_000
"""Characters of a payload or a result."""
TRACEBACK_LINES = 30
EVENTS_SHOWN = 30
LOG_LINES = 50
"""Of each run."""


@frozen(kw_only=True)
class Section:
    title: str
    lines: Sequence[Text]

    def text(self) -> Text:
        return Text("\n").join([Text(self.title, style="bold underline"), *self.lines])


def record(job: JobView[Any]) -> Section:
    pairs: list[tuple[str, object]] = [
        ("status", job.status),
        ("type", job.type),
        ("queue", job.queue),
        ("priority", job.priority),
        ("worker", job.worker_id),
        ("attempt", f"{job.attempt}, {job.retry_count} of {job.max_retries} retries, {job.retry_policy}"),
        ("workflow", job.workflow_id),
        ("key", job.key),
        ("created", job.created_at),
        ("scheduled", job.scheduled_at),
        ("claimed", job.claimed_at),
        ("started", job.started_at),
        ("completed", job.completed_at),
        ("idempotency key", job.idempotency_key),
        ("trace", job.trace_id),
        ("payload", _document(job.payload)),
        ("progress", _document(job.progress)),
        ("result", _document(job.result)),
    ]
    told = [(name, value) for name, value in pairs if value is not None]
    width = max(len(name) for name, _ in told)
    lines = [
        Text.assemble((name.ljust(width + 2), "bright_black"), cell(_harmless(value))) for name, value in told
    ]
    return Section(title=f"job {job.job_id}", lines=lines)


def why(found: WhyView) -> Section:
    lines = [Text(one_line(found.summary))]
    if len(found.reasons) > 1:
        lines += [Text(f"- {one_line(reason.message)}") for reason in found.reasons]
    return Section(title="why", lines=lines)


def errors(job: JobView[Any]) -> Section | None:
    """Newest first, that one with its traceback."""
    if not job.errors:
        return None
    lines: list[Text] = []
    for error in reversed(job.errors):
        lines.append(
            Text.assemble(
                (moment(error.at), "bright_black"),
                f"  attempt {error.attempt} on {one_line(error.worker_id or '-')}  ",
                (one_line(error.kind), "red"),
                f": {one_line(error.message)}",
            )
        )
        if len(lines) == 1 and error.traceback:
            shown = plain(error.traceback).rstrip().splitlines()[-TRACEBACK_LINES:]
            lines += [Text(f"    {line}", style="dim") for line in shown]
    return Section(title="errors", lines=lines)


def log(kept: JobLogView) -> Section | None:
    """The last lines of its handler, each run under its name."""
    if not kept.runs:
        return None
    lines: list[Text] = []
    for run in kept.runs:
        dropped = f", {run.dropped} lines before these are kept no more" if run.dropped else ""
        lines.append(Text(f"attempt {run.attempt} on {one_line(run.worker_id)}{dropped}", style="dim"))
        lines += [as_text(line) for line in run.lines[-LOG_LINES:]]
    return Section(title="log", lines=lines)


def trace(traced: TraceView, width: int) -> Section | None:
    """As a waterfall."""
    if not traced.spans:
        return None
    lines, whole = drawn(traced, width, UNICODE)
    return Section(title="trace", lines=lines if whole else [*lines, Text(DRAWN_SHORTER, style="dim")])


def history(events: Sequence[JobEvent]) -> Section:
    shown = events[-EVENTS_SHOWN:]
    lines = [Text(f"… {len(events) - len(shown)} before", style="dim")] if len(shown) < len(events) else []
    lines += [_move(event) for event in shown]
    return Section(title="history", lines=lines)


def _move(event: JobEvent) -> Text:
    line = Text.assemble(
        (moment(event.at), "bright_black"),
        "  ",
        cell(event.from_state or "created"),
        " -> ",
        cell(event.to_state),
    )
    if event.attempt:
        line.append(f"  attempt {event.attempt}")
    if event.worker_id is not None:
        line.append(f"  on {one_line(event.worker_id)}")
    if event.reason is not None:
        line.append(f"  {one_line(event.reason)}")
    return line


def _harmless(value: object) -> object:
    return one_line(value) if isinstance(value, str) else value


def _document(value: Any) -> str | None:
    if value is None:
        return None
    text = compact(value)
    return text if len(text) <= DOCUMENT_MAX else f"{text[:DOCUMENT_MAX]}…"
