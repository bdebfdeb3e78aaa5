"""What a job's handler logged, for ``schedora jobs logs``."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from schedora.entrypoints.cli.printing import compact, moment, one_line, plain, print_json, print_line

if TYPE_CHECKING:
    from uuid import UUID

    from rich.text import Text

    from schedora.entrypoints.sdk.client import SchedoraClient
    from schedora.entrypoints.sdk.log_views import JobLogView, LogLine, RunLogView

LEVELS = {
    "debug": "bright_black",
    "info": "cyan",
    "warning": "yellow",
    "error": "red",
    "critical": "bold red",
}
LEVEL_WIDTH = max(map(len, LEVELS))
QUIET = "bright_black"

PAUSE_SECONDS = 0.5
LAST_LINES_SECONDS = 2.0
"""For so long after a job has ended, lines of its last moments may still appear."""
PATIENCE_SECONDS = 60.0
"""For so long a server may be away while somebody looks on, as in a restart."""


def follow_log(
    client: "SchedoraClient", job_id: "UUID", *, tail: int | None, attempt: int | None
) -> "Iterator[JobLogView]":
    """What there is, and then what comes, until the job has ended and its last lines are there."""
    from schedora.entrypoints.sdk.errors import Unavailable  # noqa: PLC0415 - --help must not load it

    log = client.job_logs(job_id, tail=tail, attempt=attempt)
    heard_at = time.monotonic()
    ended_at: float | None = None
    while True:
        yield log
        if log.ended:
            ended_at = ended_at or heard_at
            if heard_at - ended_at > LAST_LINES_SECONDS:
                return
        else:
            ended_at = None  # somebody has given it another life
        heard: JobLogView | None = None
        while heard is None:
            time.sleep(PAUSE_SECONDS)
            try:
                heard = client.job_logs(job_id, attempt=attempt, after=log.last)
            except Unavailable:
                if time.monotonic() - heard_at > PATIENCE_SECONDS:
                    raise
        log, heard_at = heard, time.monotonic()


class LogPrinter:
    """Prints logs bit by bit: each run under its name."""

    def __init__(self, *, as_json: bool) -> None:
        """``as_json``: a JSON document for each line."""
        self._as_json = as_json
        self._run: int | None = None
        self.lines = 0

    def print(self, log: "JobLogView") -> None:
        for run in log.runs:
            self.lines += len(run.lines)
            if self._as_json:
                for line in run.lines:
                    print_json({"attempt": run.attempt, "worker_id": run.worker_id, "line": line})
            else:
                self._print_run(run)

    def _print_run(self, run: "RunLogView") -> None:
        from rich.text import Text  # noqa: PLC0415 - dear, and not needed for --json

        if run.lease_token != self._run:
            print_line(Text(f"attempt {run.attempt} on {one_line(run.worker_id)}", style=QUIET))
            self._run = run.lease_token
        if run.dropped:
            print_line(Text(f"{run.dropped} lines before these are kept no more", style=QUIET))
        for line in run.lines:
            print_line(as_text(line))


def as_text(line: "LogLine") -> "Text":
    """Harmless to the terminal; more than one line where there is a traceback."""
    from rich.text import Text  # noqa: PLC0415 - as above

    style = LEVELS.get(line.level, "")
    text = Text.assemble(
        (f"{moment(line.timestamp)}.{line.timestamp.microsecond // 1000:03}", QUIET),
        "  ",
        (one_line(line.level).ljust(LEVEL_WIDTH), style),
        "  ",
        (one_line(line.message), "bold" if line.level in {"error", "critical"} else ""),
    )
    for name, value in line.fields.items():
        told = value if isinstance(value, str) else compact(value)
        text.append(f"  {one_line(name)}=", style=QUIET).append(one_line(told))
    if line.exception is not None:
        indented = plain(line.exception).replace("\n", "\n    ")
        text.append(f"\n    {indented}", style=style)
    return text
