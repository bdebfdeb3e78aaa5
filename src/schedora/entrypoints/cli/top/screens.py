"""What is opened from the live view: the jobs of a queue, a worker or a type, and one job."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static
from textual.worker import Worker

from schedora.domain.ids import JobId
from schedora.entrypoints.cli.printing import STYLES, one_line
from schedora.entrypoints.cli.top import job_page
from schedora.entrypoints.cli.top.panel import Panel
from schedora.entrypoints.cli.top.sheet import Cell, Column, Row
from schedora.entrypoints.sdk.client import AsyncSchedoraClient
from schedora.entrypoints.sdk.errors import NotFoundError, SchedoraError
from schedora.entrypoints.sdk.views import JobView

JOBS = (
    Column(title="JOB ID", least=36),
    Column(title="TYPE", stretches=True),
    Column(title="QUEUE", spare=4),
    Column(title="STATUS", least=9),
    Column(title="ATTEMPT", right=True, spare=1),
    Column(title="CREATED", spare=3),
    Column(title="ERROR", spare=2),
)
ERROR_MAX = 30

MARGIN = 4
LAST_LOOKS = 3
"""At a job that has ended: lines of its last moments may still appear."""

T = TypeVar("T")

Read = Callable[[], Awaitable[Sequence[JobView[Any]]]]


class Live(Protocol):
    """What is under these screens."""

    @property
    def client(self) -> AsyncSchedoraClient: ...

    @property
    def interval_seconds(self) -> float: ...

    async def retry(self, job_id: JobId) -> None: ...

    async def ask_to_cancel(self, job_id: JobId) -> None: ...


class _Opened(Screen[None]):
    def __init__(self, live: Live) -> None:
        super().__init__()
        self.live = live
        self._looking: Worker[None] | None = None

    def on_mount(self) -> None:
        self.set_interval(self.live.interval_seconds, self._look)
        self._look()

    def _look(self) -> None:
        """Beside the screen, which listens to keys meanwhile: a server may take its time."""
        if self._looking is None or self._looking.is_finished:
            self._looking = self.run_worker(self._show())

    async def _show(self) -> None:
        """What there is to be seen now."""
        raise NotImplementedError

    @property
    def job_id(self) -> JobId | None:
        """Of the job that keys are about."""
        raise NotImplementedError

    def action_retry(self) -> None:
        if self.job_id is not None:
            self.app.run_worker(self.live.retry(self.job_id))

    async def action_cancel(self) -> None:
        if self.job_id is not None:
            await self.live.ask_to_cancel(self.job_id)


class Jobs(_Opened):
    """A list of jobs, read again with each look."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back"),
        Binding("r", "retry", "Retry"),
        Binding("c", "cancel", "Cancel"),
    ]

    def __init__(self, live: Live, title: str, read: Read) -> None:
        super().__init__(live)
        self._read = read
        self._panel = Panel(title, JOBS, empty="no job waits, runs or is dead here", id="jobs")

    def compose(self) -> ComposeResult:
        yield self._panel
        yield Footer(show_command_palette=False, compact=True)

    @property
    def job_id(self) -> JobId | None:
        current = self._panel.current
        return None if current is None else JobId(UUID(current))

    async def on_panel_chosen(self, message: Panel.Chosen) -> None:
        message.stop()
        await self.app.push_screen(OneJob(self.live, JobId(UUID(message.key))))

    async def _show(self) -> None:
        try:
            jobs = await self._read()
        except SchedoraError as error:
            self._panel.note(one_line(str(error)))
            return
        self._panel.show([_row(job) for job in jobs])


def _row(job: JobView[Any]) -> Row:
    return Row(
        key=str(job.job_id),
        cells=(
            Cell(str(job.job_id)),
            Cell(one_line(job.type)),
            Cell(one_line(job.queue)),
            Cell(job.status, STYLES.get(job.status, "")),
            Cell(str(job.attempt)),
            Cell(f"{job.created_at.astimezone():%H:%M:%S}"),
            Cell(one_line(job.error_message or "")[:ERROR_MAX]),
        ),
    )


class OneJob(_Opened):
    """All that is known of a job, read again until it has ended and its last lines are there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back"),
        Binding("r", "retry", "Retry"),
        Binding("c", "cancel", "Cancel"),
    ]
    CSS = """
    OneJob Static { height: auto; margin-bottom: 1; }
    """

    def __init__(self, live: Live, job_id: JobId) -> None:
        super().__init__(live)
        self._job_id = job_id
        self._looks_left = LAST_LOOKS
        self._sections = Static("…", id="sections", markup=False)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="job"):
            yield self._sections
        yield Footer(show_command_palette=False, compact=True)

    @property
    def job_id(self) -> JobId:
        return self._job_id

    def action_retry(self) -> None:
        self.app.run_worker(self._retry())

    async def _retry(self) -> None:
        await self.live.retry(self._job_id)
        self._looks_left = LAST_LOOKS

    async def _show(self) -> None:
        if not self._looks_left:
            return
        try:
            job = await self.live.client.get_job(self._job_id)
            told = await self._told(job)
        except SchedoraError as error:
            self.notify(one_line(str(error)), severity="error", markup=False)
            return
        self._looks_left = self._looks_left - 1 if job.ended else LAST_LOOKS
        sections = [section.text() for section in told if section is not None]
        self._sections.update(Text("\n\n").join(sections))

    async def _told(self, job: JobView[Any]) -> list[job_page.Section | None]:
        """What an operator asks first comes first."""
        client = self.live.client
        why, log, trace, history = await asyncio.gather(
            _known(client.job_why(job)),
            _known(client.job_logs(job)),
            _known(client.job_trace(job)),
            _known(client.job_events(job)),
        )
        width = max(self.size.width - MARGIN, 1)
        return [
            None if why is None else job_page.why(why),
            job_page.errors(job),
            None if log is None else job_page.log(log),
            None if trace is None else job_page.trace(trace, width),
            job_page.record(job),
            None if history is None else job_page.history(history),
        ]


async def _known(asked: Awaitable[T]) -> T | None:
    """None from a server that does not tell that: one of an earlier version, say."""
    try:
        return await asked
    except NotFoundError:
        return None
