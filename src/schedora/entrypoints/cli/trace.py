"""``schedora trace``."""

import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from schedora.application.telemetry.span import SpanStatus
from schedora.diagnosis.wording import counted
from schedora.entrypoints.cli.exits import Misused
from schedora.entrypoints.cli.printing import (
    can_print,
    cell,
    console,
    moment,
    print_json,
    print_line,
    print_note,
)
from schedora.entrypoints.cli.server import DEFAULT_URL, CursorOption, JsonOption, UrlOption, reached

if TYPE_CHECKING:
    from rich.text import Text

    from schedora.entrypoints.cli.waterfall import Axis, Glyphs, Line
    from schedora.entrypoints.sdk.trace_view import TraceView

PIPE_WIDTH = 120
"""Where nobody watches."""
RUN = "cyan"
DRAWN_SHORTER = "waits are drawn shorter than they were"


def trace(
    job_id: Annotated[UUID | None, typer.Argument(metavar="JOB_ID", show_default=False)] = None,
    *,
    workflow: Annotated[
        UUID | None, typer.Option("--workflow", metavar="WORKFLOW_ID", help="Of a whole workflow.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, max=500, help="At most so many jobs of the workflow.", show_default="100"
        ),
    ] = None,
    cursor: CursorOption = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Show what happened to a job and what took how long, as a waterfall."""
    if (job_id is None) == (workflow is None):
        raise Misused("name either a JOB_ID or a --workflow")
    for name, value in (("--limit", limit), ("--cursor", cursor)):
        if value is not None and workflow is None:
            raise Misused(f"{name} goes with --workflow")
    with reached(url) as client:
        if workflow is not None:
            traced = client.workflow_trace(workflow, limit=limit or 100, cursor=cursor)
        else:
            traced = client.job_trace(job_id or "")
    if as_json:
        print_json(traced.document)
    else:
        _show(traced)
    if traced.next_cursor is not None:
        print_note(f"{_jobs_told(traced)}: --cursor {traced.next_cursor} goes on")


def _jobs_told(traced: "TraceView") -> str:
    """How many of a workflow's."""
    told = [one.attributes for one in traced if one.scope == "schedora"]  # handlers may use the same names
    total = max(each.get("schedora.jobs", 0) for each in told)
    jobs = {job_id for each in told if (job_id := each.get("messaging.message.id"))}
    return f"{len(jobs):,} of its {counted(total, 'job')}"


def _show(traced: "TraceView") -> None:
    from schedora.entrypoints.cli.waterfall import ASCII, UNICODE  # noqa: PLC0415 - --help must not load it

    glyphs = UNICODE if can_print(UNICODE.all, sys.stdout) else ASCII
    width = console().width if sys.stdout.isatty() else PIPE_WIDTH
    told, whole = drawn(traced, width, glyphs)
    print_line(cell("\n").join(told))  # at once: each print takes its time
    if not whole:
        print_note(DRAWN_SHORTER)


def drawn(traced: "TraceView", width: int, glyphs: "Glyphs") -> "tuple[list[Text], bool]":
    """Its lines, and whether each bar is as long as what it stands for, in proportion."""
    from schedora.entrypoints.cli.waterfall import axis, length, lines, widths  # noqa: PLC0415 - as above

    along = axis(traced.spans)
    told = lines(traced.spans, glyphs)
    label, bars = widths(told, width)
    start_ns, end_ns = along.instants[0], along.instants[-1]
    began = min(traced.spans, key=lambda one: one.start_ns).start
    heading = (
        f"trace {traced.trace_id}: {counted(len(traced), 'span')}, {length(end_ns - start_ns)} from "
        f"{moment(began)}"
    )
    rows = [_drawn(line, along, label=label, bars=bars, width=width, glyphs=glyphs) for line in told]
    return [cell(heading), *rows], along.whole or not bars


def _drawn(line: "Line", along: "Axis", *, label: int, bars: int, width: int, glyphs: "Glyphs") -> "Text":
    from schedora.entrypoints.cli.waterfall import (  # noqa: PLC0415
        BAD,
        DURATION,
        GAP,
        bar,
        shortened,
        shortened_tree,
    )

    tree = shortened_tree(line.tree, label, glyphs)
    drawn = cell(tree)
    drawn.stylize("bright_black")
    if line.span is None and not line.length:
        return drawn.append(shortened(line.text, max(1, width - len(tree)), glyphs), style=line.style)
    drawn.append(shortened(line.text, label - len(tree), glyphs), style=line.style)
    drawn.pad_right(label - drawn.cell_len)
    drawn.append(line.length.rjust(DURATION))
    if bars and line.span is not None:
        colour = BAD if line.span.status is SpanStatus.ERROR else line.style or RUN
        drawn.append(" " * GAP).append(bar(line.span, along, bars, glyphs), style=colour)
    return drawn
