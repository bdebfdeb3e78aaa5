"""What is laid over the live view: a question to be answered, and the list of keys."""

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS = (
    ("tab, shift+tab", "to the next panel, or the one before"),
    ("up, down, j, k", "from row to row; also page up and down, home, end"),
    ("enter", "open the job; of a queue, a worker or a type, its jobs"),
    ("r", "retry the job: a DEAD or CANCELED one is PENDING again"),
    ("c", "cancel the job (asks)"),
    ("p", "pause the queue under the cursor, or resume it"),
    ("d", "drain the worker under the cursor (asks)"),
    ("s", "order job types: failing, slowest, busiest first"),
    ("w", "job types over the last five minutes, or since counting began"),
    ("z", "one panel alone, or all again"),
    ("/", "show only what has this in its type, queue or worker; escape: all"),
    ("escape", "back"),
    ("q", "quit"),
)
HELP = (
    "Rates are those of the last ten seconds. ~P50 and ~P95 are estimated within the buckets of the histogram that "
    "/metrics shows. Submitted, done and failed are counted by the processes that do it, and are exact; of failures, "
    "the newest are shown. A curve has one character for each look; blank: the server was away."
)


class Question(ModalScreen[bool]):
    """Dismissed with True for yes."""

    BINDINGS = [  # noqa: RUF012 - as textual has it
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]
    CSS = """
    Question { align: center middle; }
    Question > Vertical { width: auto; max-width: 76; height: auto; border: heavy $warning; padding: 1 2; background: $surface; }
    Question Static { width: auto; max-width: 70; }
    """

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._question, markup=False)
            yield Static("\ny yes   n no", markup=False)

    def action_answer(self, yes: bool) -> None:
        _ = self.dismiss(yes)  # which waits for this very key: not to be awaited here


class Help(ModalScreen[None]):
    BINDINGS = [Binding("escape,q,question_mark,enter", "app.pop_screen", "Back")]  # noqa: RUF012 - as textual has it
    CSS = """
    Help { align: center middle; }
    Help > VerticalScroll { width: 78; height: auto; max-height: 100%; border: heavy $primary; padding: 0 1; background: $surface; }
    Help Static { width: 100%; height: auto; }
    """

    def compose(self) -> ComposeResult:
        width = max(len(keys) for keys, _ in KEYS)
        with VerticalScroll() as box:
            box.border_title = "schedora top: keys"
            for keys, what in KEYS:
                yield Static(Text.assemble((keys.rjust(width), "bold"), "  ", what))
            yield Static(Text(f"\n{HELP}", style="dim"))
