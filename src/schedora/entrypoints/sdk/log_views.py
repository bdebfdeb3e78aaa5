"""The log of a job, as Python programs see it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from attrs import field, frozen

from schedora.application.encoding import decode_json
from schedora.domain.ids import JobId, WorkerId
from schedora.domain.job_log import JobLog
from schedora.domain.job_state import ENDED, JobState


@frozen(kw_only=True)
class LogLine:
    """A line that a handler logged. ``fields``: what it was given beside the message. ``exception``: a traceback."""

    timestamp: datetime
    level: str
    message: str
    logger: str | None = None
    exception: str | None = None
    fields: Mapping[str, Any] = field(factory=dict)

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> Self:
        """From what it is in JSON."""
        fields = dict(line)
        at = datetime.fromisoformat(fields.pop("timestamp"))
        named = {name: fields.pop(name, None) for name in ("level", "message", "logger", "exception")}
        return cls(timestamp=at, **named, fields=fields)


@frozen(kw_only=True)
class RunLogView:
    """What is kept of the log of one run, oldest line first. ``dropped``: how many lines came before these that are kept
    no more.
    """

    attempt: int
    lease_token: int
    worker_id: WorkerId
    dropped: int
    lines: tuple[LogLine, ...]


@frozen(kw_only=True)
class JobLogView:
    """What is kept of the log of a job, oldest run first. ``last`` is the place behind it, to go on from; None as long
    as there is nothing.
    """

    job_id: JobId
    status: JobState
    runs: tuple[RunLogView, ...]
    last: str | None

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """Of all runs."""
        return tuple(line for run in self.runs for line in run.lines)

    @property
    def ended(self) -> bool:
        """Whether the job had ended; lines of its last moments may appear for a second more."""
        return self.status in ENDED


def log_view(log: JobLog) -> JobLogView:
    return JobLogView(
        job_id=log.job_id,
        status=log.status,
        runs=tuple(
            RunLogView(
                attempt=run.attempt,
                lease_token=run.lease_token,
                worker_id=run.worker_id,
                dropped=run.dropped,
                lines=tuple(LogLine.read(decode_json(line)) for line in run.lines),
            )
            for run in log.runs
        ),
        last=None if log.last is None else str(log.last),
    )
