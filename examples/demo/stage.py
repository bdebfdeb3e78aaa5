"""Where the demo shows what happens: a live picture in a terminal, plain lines anywhere else."""

import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from examples.demo.graph_picture import LOOKS
from examples.demo.steps import Change
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

RECENT_CHANGES = 4
TOLD_IN_PLAIN_LINES = frozenset({"RUNNING", "SUCCESS", "RETRYING", "DEAD", "CANCELED"})


class Stage(Protocol):
    """Shows a workflow's progress while it is entered (`with`)."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show no more; what was shown last stays."""
        ...

    def show(self, picture: RenderableType, news: Iterable[Change]) -> None:
        """Show how things stand now and what has changed."""
        ...

    def tell(self, what: str) -> None:
        """Report something that is no change of a step."""
        ...


class LiveStage:
    """The picture, redrawn in place, and below it what was told and the newest changes."""

    def __init__(self, console: Console) -> None:
        self._began = time.monotonic()
        self._told: list[Text] = []
        self._recent: deque[Text] = deque(maxlen=RECENT_CHANGES)
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, picture: RenderableType, news: Iterable[Change]) -> None:
        """Redraw the picture."""
        self._recent.extend(_line(change, time.monotonic() - self._began) for change in news)
        self._live.update(Group(picture, *self._told, *self._recent), refresh=True)

    def tell(self, what: str) -> None:
        """Add a line that stays; it is drawn with the next picture."""
        self._told.append(_telling(what, time.monotonic() - self._began))


class PlainStage:
    """A line for each change, for logs and terminals that cannot redraw."""

    def __init__(self, console: Console) -> None:
        self._began = time.monotonic()
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, picture: RenderableType, news: Iterable[Change]) -> None:  # noqa: ARG002 the lines tell it all
        """Print the changes that matter to a reader of a log."""
        for change in news:
            if change.step.status in TOLD_IN_PLAIN_LINES:
                self._console.print(_line(change, time.monotonic() - self._began), soft_wrap=True)

    def tell(self, what: str) -> None:
        """Print a line."""
        self._console.print(_telling(what, time.monotonic() - self._began), soft_wrap=True)


def stage_for(console: Console) -> Stage:
    """Return the stage that suits where the output goes."""
    redraws = console.is_terminal and not console.is_dumb_terminal
    return LiveStage(console) if redraws else PlainStage(console)


def _telling(what: str, after_seconds: float) -> Text:
    line = Text(f"{after_seconds:6.1f} s  ", "dim", no_wrap=True, overflow="ellipsis")
    return line.append(what, "not dim bold red")


def _line(change: Change, after_seconds: float) -> Text:
    step = change.step
    sign, style = LOOKS[step.status]
    line = Text(f"{after_seconds:6.1f} s  ", "dim", no_wrap=True, overflow="ellipsis")
    line.append(f"{change.title:<8} {step.key:<9} ")
    line.append(f"{sign} {step.status:<9} ", style)
    line.append(f"attempt {step.attempt} on {step.worker}" if step.worker else "", "dim")
    if step.error and step.status in {"RETRYING", "DEAD", "CANCELED"}:
        line.append(f"  {step.error.splitlines()[0]}", "italic")
    return line
