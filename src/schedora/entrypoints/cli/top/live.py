"""The live view of ``schedora top``: what the board knows, on a terminal, and keys to act."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer, Input, Static

from schedora.domain.ids import JobId
from schedora.domain.job_state import ENDED, JobState
from schedora.entrypoints.cli.exits import INTERRUPTED, SIGNALED
from schedora.entrypoints.cli.printing import STYLES, one_line
from schedora.entrypoints.cli.top import figures, sheets
from schedora.entrypoints.cli.top.board import Board, Order
from schedora.entrypoints.cli.top.panel import Panel
from schedora.entrypoints.cli.top.questions import Help, Question
from schedora.entrypoints.cli.top.screens import Jobs, OneJob
from schedora.entrypoints.cli.top.snapshot import status_line
from schedora.entrypoints.cli.top.watcher import Watcher
from schedora.entrypoints.sdk.client import AsyncSchedoraClient
from schedora.entrypoints.sdk.errors import SchedoraError
from schedora.entrypoints.sdk.views import JobView

LISTED = 50
UNFINISHED = tuple(state for state in JobState if state not in ENDED or state is JobState.DEAD)
"""What may need an operator."""

NAME_WIDTH = 10
RATE_WIDTH = 7
TIMEOUT_SECONDS = 10.0


def watch(url: str, place: str, interval_seconds: float) -> int:
    """Until whoever looks on has had enough; the status with which to end."""
    return asyncio.run(_watch(url, place, interval_seconds))


async def _watch(url: str, place: str, interval_seconds: float) -> int:
    async with AsyncSchedoraClient(url, timeout=TIMEOUT_SECONDS) as client:
        app = LiveView(client, place, interval_seconds)
        # Who ends it from elsewhere gets the terminal back as it was, too.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, app.end, SIGNALED + number)
        await app.run_async()
        return app.return_code or 0


class Overview(Screen[None]):
    """The four panels under the curves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "app.quit", "Quit"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("r", "retry", "Retry"),
        Binding("c", "cancel", "Cancel"),
        Binding("p", "pause", "Pause/resume"),
        Binding("d", "drain", "Drain"),
        Binding("s", "order", "Order"),
        Binding("w", "window", "Window"),
        Binding("z", "zoom", "Zoom"),
        Binding("escape", "everything", "All", show=False),
    ]
    ONLY: ClassVar[dict[str, str]] = {
        "retry": "failures", "cancel": "failures", "pause": "queues", "drain": "workers", "order": "types",
        "window": "types",
    }  # fmt: skip
    """Which panel has to have the focus."""

    CSS = """
    #status-line { height: 1; }
    #curves { height: 3; }
    #notes { height: auto; max-height: 2; }
    #filter { height: 1; border: none; padding: 0; display: none; }
    #panels { height: 1fr; layout: vertical; }
    #panels > Panel { height: 2fr; }
    #panels > Panel:focus { height: 3fr; }
    Overview.-wide #panels { layout: grid; grid-size: 2 2; grid-gutter: 0 2; }
    Overview.-wide #panels > Panel, Overview.-wide #panels > Panel:focus { height: 1fr; }
    #panels.-zoomed > Panel { display: none; }
    #panels.-zoomed > Panel:focus { display: block; }
    Overview.-wide #panels.-zoomed { layout: vertical; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as textual has it

    def __init__(self, live: "LiveView") -> None:
        super().__init__()
        self.live = live
        self._board = live.board
        self._place = live.place
        self._client = live.client
        self._order = Order.FAILING
        self._ever = False
        self._fits = ""
        self._before: Widget | None = None
        """What had the focus before the filter had it."""
        self._status_line = Static(id="status-line", markup=False)
        self._curves = Static(id="curves", markup=False)
        self._notes = Static(id="notes", markup=False)
        self._queues = Panel("queues", sheets.QUEUES, empty="no queue", id="queues")
        self._workers = Panel("workers", sheets.WORKERS, empty="no worker", id="workers")
        self._types = Panel(
            "job types", sheets.TYPES, empty="nothing was submitted, and nothing ended", id="types"
        )
        self._failures = Panel("newest failures", sheets.FAILURES, empty="none", id="failures")
        self._panels = Container(self._queues, self._workers, self._types, self._failures, id="panels")
        self._filter = Input(placeholder="a part of a type, queue or worker", id="filter", compact=True)

    def compose(self) -> ComposeResult:
        yield self._status_line
        yield self._curves
        yield self._notes
        yield self._panels
        yield self._filter
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._queues.focus()
        self.set_interval(1.0, self._show_status_line)
        self.show_board()

    def on_resize(self) -> None:
        self.show_board()

    # What is shown

    def show_board(self) -> None:
        board, fits = self._board, self._fits
        self._show_status_line()
        self._curves.update(self._drawn_curves())
        notes = [*board.notes(), *([f"only what has “{fits}” in it (escape: all)"] if fits else [])]
        self._notes.update(Text("\n").join(Text(f"! {one_line(note)}", style="yellow") for note in notes))
        self._notes.display = bool(notes)
        self._queues.show(sheets.queue_rows(board.queues(fits)))
        self._workers.show(sheets.worker_rows(board.workers(fits)))
        types = board.types(fits, self._order, ever=self._ever)
        since = "since counting began" if self._ever else "last 5 min"
        self._types.show(sheets.type_rows(types), note=f"{self._order} first, {since}")
        self._failures.show(sheets.failure_rows(board.failures(fits)), note=board.failures_note)

    def _show_status_line(self) -> None:
        board = self._board
        line = Text.assemble(("schedora", "bold"), f" {self._place}  ", no_wrap=True, overflow="ellipsis")
        if board.trouble is not None and board.away_since is not None:
            away = figures.length(time.monotonic() - board.away_since)
            line.append(f"AWAY for {away}, trying again", "bold red")
        elif board.look is None:
            line.append("…")
        else:
            line.append(status_line(board.look), STYLES.get(board.look.health.status, ""))
            stats = board.look.stats
            line.append(f"  waiting {figures.count(stats.pending_jobs)}")
            line.append(f"  running {figures.count(stats.running_jobs)}")
        self._status_line.update(line)

    def _drawn_curves(self) -> Text:
        rates = self._board.rates()
        width = max(self.size.width - NAME_WIDTH - RATE_WIDTH - 4, 1)
        lines = [
            Text.assemble(
                (name.ljust(NAME_WIDTH), "dim"),
                f"{figures.rate(now)}/s".rjust(RATE_WIDTH + 2),
                "  ",
                (figures.curve(curve, width), style),
            )
            for name, now, curve, style in zip(
                ("submitted", "done", "failed"),
                (rates.submitted, rates.done, rates.failed),
                self._board.curves(width),
                ("cyan", "green", "red"),
                strict=True,
            )
        ]
        return Text("\n", no_wrap=True, overflow="crop").join(lines)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that have nothing to act on are not offered."""
        del parameters
        focused = self.focused
        return action not in self.ONLY or (isinstance(focused, Panel) and focused.id == self.ONLY[action])

    def on_descendant_focus(self) -> None:
        self.refresh_bindings()

    def action_order(self) -> None:
        self._order = self._order.next
        self.show_board()

    def action_window(self) -> None:
        self._ever = not self._ever
        self.show_board()

    def action_zoom(self) -> None:
        self._panels.toggle_class("-zoomed")

    def action_filter(self) -> None:
        self._before = self.focused
        self._filter.display = True
        self._filter.focus()

    def action_everything(self) -> None:
        self._close_filter("")
        self._panels.remove_class("-zoomed")

    def on_input_changed(self, message: Input.Changed) -> None:
        self._fits = message.value.strip()
        self.show_board()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        self._close_filter(message.value)

    def _close_filter(self, value: str) -> None:
        self._filter.value = value
        if self._filter.has_focus:
            (self._before or self._queues).focus()
        self._filter.display = False

    async def on_panel_chosen(self, message: Panel.Chosen) -> None:
        key = message.key
        match message.panel.id:
            case "failures":
                if (job_id := self._failed_job()) is not None:
                    await self.app.push_screen(OneJob(self.live, job_id))
            case "queues":
                await self._open(f"jobs on queue {one_line(key)}", queue=key)
            case "types":
                await self._open(f"jobs of type {one_line(key)}", type=key)
            case "workers":
                if (name := self._worker_id()) is not None:
                    await self._open(f"jobs on worker {one_line(name)}", worker_id=name)

    async def _open(self, title: str, **filters: Any) -> None:
        async def read() -> Sequence[JobView[Any]]:
            page = await self._client.list_jobs(status=UNFINISHED, limit=LISTED, **filters)
            return page.data

        await self.app.push_screen(Jobs(self.live, title, read))

    def action_retry(self) -> None:
        if (job_id := self._failed_job()) is not None:
            self.app.run_worker(self.live.retry(job_id))

    async def action_cancel(self) -> None:
        if (job_id := self._failed_job()) is not None:
            await self.live.ask_to_cancel(job_id)

    def action_pause(self) -> None:
        name = self._queues.current
        paused = next((queue.paused for queue in self._board.queues() if queue.name == name), None)
        if name is None or paused is None:
            return
        if paused:
            self.app.run_worker(self.live.do(self._client.resume_queue(name), f"queue {name} runs again"))
        else:
            self.app.run_worker(self.live.do(self._client.pause_queue(name), f"queue {name} is paused"))

    async def action_drain(self) -> None:
        if (name := self._worker_id()) is not None:
            await self.live.ask(
                f"Let worker {one_line(name)} finish what it runs and take nothing new?",
                partial(self._client.drain_worker, name),
                f"worker {name} drains",
            )

    def _failed_job(self) -> JobId | None:
        key = self._failures.current
        return next((failure.job_id for failure in self._board.failures() if failure.key == key), None)

    def _worker_id(self) -> str | None:
        key = self._workers.current
        return next((row.worker_id for row in self._board.workers() if row.incarnation_id == key), None)


class LiveView(App[None]):
    """Reads through ``client``, which stays the caller's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # The terminal is in raw mode: this is a key like any other, and would be told to be another one.
        Binding("ctrl+c", "interrupt", show=False, priority=True),
    ]
    ENABLE_COMMAND_PALETTE = False
    TITLE = "schedora top"

    def __init__(self, client: AsyncSchedoraClient, place: str, interval_seconds: float) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"  # the colours that the terminal has, on its own background
        self.client = client
        self.place = place
        self.interval_seconds = interval_seconds
        self.board = Board(interval_seconds)
        self._overview = Overview(self)
        self._watcher = Watcher(client, self.board, interval_seconds, self._changed)

    async def on_mount(self) -> None:
        await self.push_screen(self._overview)
        self.run_worker(self._watcher.run(), exit_on_error=True)

    def _changed(self) -> None:
        if self._overview.is_attached:  # the last look may end when all else has
            self._overview.show_board()

    def action_interrupt(self) -> None:
        self.end(INTERRUPTED)

    def end(self, status: int) -> None:
        self.exit(return_code=status)

    async def action_help(self) -> None:
        await self.push_screen(Help())

    async def do(self, deed: Awaitable[object], done: str) -> None:
        """Says what came of it. Not for a screen to wait for: it would hear no key meanwhile."""
        try:
            await deed
        except SchedoraError as error:
            self.notify(one_line(str(error)), severity="error", markup=False)
        else:
            self.notify(one_line(done), markup=False)
            self._watcher.hurry()

    async def ask(self, question: str, deed: Callable[[], Awaitable[object]], done: str) -> None:
        """Does it if the answer is yes."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self.do(deed(), done))

        await self.push_screen(Question(question), answered)

    async def retry(self, job_id: JobId) -> None:
        await self.do(self.client.retry_job(job_id), f"PENDING again: {job_id}")

    async def ask_to_cancel(self, job_id: JobId) -> None:
        await self.ask(
            f"Cancel job {job_id}?", partial(self.client.cancel_job, job_id), f"CANCELED: {job_id}"
        )
