"""Look on until a job or a workflow ends: live on a terminal, a line per change everywhere else."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from schedora.domain.events import JobEvent
from schedora.domain.job_state import JobState
from schedora.entrypoints.cli.printing import cell, console, moment, one_line, table
from schedora.entrypoints.cli.views import counts
from schedora.entrypoints.sdk.client import SchedoraClient
from schedora.entrypoints.sdk.errors import Unavailable
from schedora.entrypoints.sdk.event_views import JobMove
from schedora.entrypoints.sdk.views import JobView, WorkflowView

PAUSE_SECONDS = 0.5
PAUSE_SECONDS_PER_JOB = 0.001
"""A graph of ten thousand jobs is looked at every ten seconds: it is read as a whole each time."""

PATIENCE_SECONDS = 60.0
"""For so long a server may be away while somebody looks on, as in a restart."""

LINES_KEPT_FREE = 8
"""Of the terminal's height, around the table."""

URGENCY: Sequence[JobState] = (
    JobState.RUNNING,
    JobState.RETRYING,
    JobState.DEAD,
    JobState.SCHEDULED,
    JobState.PENDING,
    JobState.CANCELED,
    JobState.SUCCESS,
)
"""Which jobs are shown first when not all have room."""


class Watched(Protocol):
    @property
    def ended(self) -> bool: ...


W = TypeVar("W", bound=Watched)
Show = Callable[[RenderableType], None]


def watch_job(client: SchedoraClient, job_id: UUID, *, silent: bool) -> JobView[Any]:
    """The job once it has ended. Prints each of its moves unless ``silent``."""
    out = console()
    last: JobEvent | None = None

    def tell(job: JobView[Any], show: Show) -> None:
        nonlocal last
        # Asked for after the job: the moves that led to what it is are among these.
        for event in _newer(client.job_events(job_id), last):
            out.print(_event_line(event), soft_wrap=True)
            last = event
        show(_job_now(job))

    return _watch(out, lambda: client.get_job(job_id), tell, silent=silent)


def watch_workflow(client: SchedoraClient, workflow_id: UUID, *, silent: bool) -> WorkflowView:
    """The workflow once it has ended. Shows the progress of its graph unless ``silent``."""
    out = console()
    seen: dict[UUID, JobState] = {}

    def tell(workflow: WorkflowView, show: Show) -> None:
        show(_graph(workflow, rows_max=max(out.height - LINES_KEPT_FREE, 1)))
        if out.is_terminal:
            return
        for job in workflow.jobs:
            if seen.get(job.job_id) is not job.status:
                out.print(_step_line(job), soft_wrap=True)
                seen[job.job_id] = job.status

    workflow = _watch(out, lambda: client.get_workflow(workflow_id), tell, silent=silent)
    if not silent:
        if out.is_terminal:
            out.print(_steps(workflow.jobs))
        out.print(_workflow_line(workflow), soft_wrap=True)
    return workflow


def _watch(out: Console, read: Callable[[], W], tell: Callable[[W, Show], None], *, silent: bool) -> W:
    with _live(out, silent=silent) as show:
        seen_at: float | None = None
        while True:
            try:
                seen = read()
                if not silent:
                    tell(seen, show)
                seen_at = time.monotonic()
            except Unavailable:
                if seen_at is None or time.monotonic() - seen_at > PATIENCE_SECONDS:
                    raise
                show(Spinner("dots", Text("the server is away; trying again", style="yellow")))
                time.sleep(PAUSE_SECONDS)
                continue
            if seen.ended:
                return seen
            time.sleep(PAUSE_SECONDS + PAUSE_SECONDS_PER_JOB * getattr(seen, "total_jobs", 0))


@contextmanager
def _live(out: Console, *, silent: bool) -> Iterator[Show]:
    """What is shown stays in its place on a terminal, and is shown nowhere else."""
    if silent or not out.is_terminal:
        yield lambda _: None
        return
    with Live(console=out, transient=True) as live:
        yield partial(live.update, refresh=True)


def _newer(events: Sequence[JobEvent], last: JobEvent | None) -> Sequence[JobEvent]:
    """Those behind ``last``; all of them where it has gone, as the oldest of a long history do."""
    if last is not None:
        for index, event in enumerate(events):
            if (event.at, event.to_state) == (last.at, last.to_state):
                return events[index + 1 :]
    return events


def move_line(move: JobMove) -> Text:
    """One move of any job: whose it is stands behind the time."""
    return _event_line(move, whose=f"{move.job_id}  {one_line(move.type)} on {one_line(move.queue)}  ")


def _event_line(event: JobEvent | JobMove, *, whose: str = "") -> Text:
    from_state = event.from_state or "created"
    line = Text.assemble(
        (moment(event.at), "bright_black"), "  ", whose, cell(from_state), " -> ", cell(event.to_state)
    )
    for name, value in (("attempt", event.attempt or None), ("worker", event.worker_id)):
        if value is not None:
            line.append(f"  {name} {one_line(str(value))}")
    if event.reason is not None:
        line.append(f"  {one_line(event.reason)}")
    return line


def _job_now(job: JobView[Any]) -> RenderableType:
    line = Text.assemble(one_line(job.type), " ", cell(job.status))
    progress = job.progress if isinstance(job.progress, dict) else {}
    if progress.get("message"):
        line.append(f"  {one_line(str(progress['message']))}")
    parts: list[RenderableType] = [Spinner("dots", line)]
    if isinstance(fraction := progress.get("fraction"), int | float):
        parts.append(ProgressBar(total=1.0, completed=float(fraction), width=40))
    return Group(*parts)


def _graph(workflow: WorkflowView, *, rows_max: int) -> RenderableType:
    ended = workflow.completed_jobs + workflow.failed_jobs + workflow.canceled_jobs
    shown = sorted(workflow.jobs, key=lambda job: URGENCY.index(job.status))[:rows_max]
    chosen = {job.job_id for job in shown}
    parts: list[RenderableType] = [
        _workflow_line(workflow),
        ProgressBar(total=max(workflow.total_jobs, 1), completed=ended, width=60),
        _steps([job for job in workflow.jobs if job.job_id in chosen]),
    ]
    if len(shown) < len(workflow.jobs):
        parts.append(Text(f"and {len(workflow.jobs) - len(shown)} more", style="bright_black"))
    return Group(*parts)


def _workflow_line(workflow: WorkflowView) -> Text:
    return Text.assemble(one_line(workflow.name), "  ", cell(workflow.status), f"  {counts(workflow)}")


def _steps(jobs: Iterable[JobView[Any]]) -> Table:
    rows = (
        (
            job.key or job.job_id,
            job.type,
            job.status,
            job.attempt,
            job.worker_id,
            _length(job),
            job.error_message,
        )
        for job in jobs
    )
    return table(
        ("STEP", "TYPE", "STATUS", "ATTEMPT", "WORKER", "TOOK", "ERROR"), rows, spare=("WORKER", "TYPE")
    )


def _length(job: JobView[Any]) -> object:
    if job.started_at is None or job.completed_at is None:
        return None
    return job.completed_at - job.started_at


def _step_line(job: JobView[Any]) -> Text:
    line = Text.assemble(one_line(job.key or str(job.job_id)), "  ", cell(job.status))
    if job.error_message is not None:
        line.append(f"  {one_line(job.error_message)}")
    return line
