"""One table of the live view: rows with a cursor that stays with its row."""

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget

from schedora.entrypoints.cli.top.sheet import Cell, Column, Layout, Row, layout

MARK = "▸"
NO_MARK = " "
HEADING_LINES = 1


class Panel(Widget, can_focus=True):
    """The mark in front of the row at the cursor shows it without colours, too."""

    BINDINGS = [  # noqa: RUF012 - as textual has it
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
        Binding("enter", "choose", "Open"),
    ]

    DEFAULT_CSS = """
    Panel { border-top: solid $primary; border-title-style: bold; }
    Panel:focus { border-top: heavy $accent; }
    """

    class Chosen(Message):
        """Enter was pressed on a row of ``panel``."""

        def __init__(self, panel: "Panel", key: str) -> None:
            self.panel = panel
            self.key = key
            super().__init__()

        @property
        def control(self) -> "Panel":
            return self.panel

    def __init__(self, title: str, columns: Sequence[Column], *, empty: str, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = self._title = title
        self._columns = columns
        self._empty = empty
        self._rows: Sequence[Row] = ()
        self._cursor = 0
        self._first = 0
        """Index of the row that is shown first."""

    @property
    def current(self) -> str | None:
        """The key of the row at the cursor."""
        return self._rows[self._cursor].key if self._rows else None

    def note(self, text: str | None) -> None:
        """Behind the title."""
        self.border_title = Text(self._title if text is None else f"{self._title}: {text}").markup

    def show(self, rows: Sequence[Row], *, note: str | None = None) -> None:
        """In place of what was shown."""
        # Nobody is at work here: what comes first is looked at, whatever that is. Else no other row may slip under the cursor.
        at_top = self._cursor == 0 and not self.has_focus
        key = self.current
        self._rows = rows
        index = 0 if at_top else next((i for i, row in enumerate(rows) if row.key == key), self._cursor)
        self._cursor = max(0, min(index, len(rows) - 1))
        self.note(note)
        self.refresh()

    def action_move(self, by: int) -> None:
        self._cursor = max(0, min(self._cursor + by, len(self._rows) - 1))
        self.refresh()

    def action_page(self, by: int) -> None:
        self.action_move(by * self._height())

    def action_choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        index = self._first + event.y - HEADING_LINES - self.gutter.top
        if 0 <= index < len(self._rows):
            chosen = index == self._cursor and event.chain > 1
            self._cursor = index
            self.refresh()
            if chosen:
                self.action_choose()

    def on_mouse_scroll_down(self) -> None:
        self.action_move(1)

    def on_mouse_scroll_up(self) -> None:
        self.action_move(-1)

    def _height(self) -> int:
        return max(self.size.height - HEADING_LINES, 1)

    def render(self) -> Text:
        width, height = self.size.width - len(MARK), self._height()
        if not self._rows:
            return Text(f"{NO_MARK}{self._empty}", style="dim", no_wrap=True, overflow="ellipsis")
        self._first = min(max(self._first, self._cursor - height + 1), self._cursor)
        self._first = max(0, min(self._first, len(self._rows) - height))
        shaped = layout(self._columns, self._rows, max(width, 1))
        lines = [_line(NO_MARK, shaped.heading(), "dim")]
        for index, row in enumerate(self._rows[self._first : self._first + height], start=self._first):
            lines.append(self._row(shaped, index, row))
        return Text("\n", no_wrap=True, overflow="crop").join(lines)

    def _row(self, shaped: Layout, index: int, row: Row) -> Text:
        cells = shaped.line(row)
        if index == self._cursor and self.has_focus:  # colours are hard to read in reverse
            return _line(MARK, [Cell(cell.text) for cell in cells], "reverse")
        return _line(NO_MARK, cells, "")


def _line(mark: str, cells: Sequence[Cell], style: str) -> Text:
    line = Text(mark, style=style, end="")
    for cell in cells:
        line.append(cell.text, cell.style or None)
    return line
