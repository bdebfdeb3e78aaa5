"""The log of a job, as it is shown."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field, WithJsonSchema
from typing_extensions import TypedDict

from schedora.domain.errors import InvalidField
from schedora.domain.job_log import JobLog, LogPlace, RunLines
from schedora.domain.job_state import JobState
from schedora.entrypoints.api.answers import embedded
from schedora.entrypoints.api.schemas.fields import QueryString

TAIL_MAX = 10_000
"""More than there can be."""

_TEXT = {"type": "string"}

LineJson = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "object",
            "description": "A line, with all fields that it was given",
            "properties": {
                "timestamp": _TEXT | {"format": "date-time"},
                "level": _TEXT,
                "message": _TEXT,
                "logger": _TEXT,
                "exception": _TEXT,
            },
            "required": ["timestamp", "level", "message"],
            "additionalProperties": True,
        }
    ),
]


def _place(text: str) -> str:
    try:
        LogPlace.parse(text)
    except InvalidField as error:
        raise ValueError(f"must be {error.allowed}") from None
    return text


Place = Annotated[
    str | None,
    BeforeValidator(_place),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,18}-[0-9]{1,18}$"}),
    Field(description="Only what came after that: the `last` of an earlier answer"),
]


class LogsQuery(QueryString):
    tail: Annotated[
        int | None, Field(ge=1, le=TAIL_MAX, description="The last lines alone, so many of them")
    ] = None
    attempt: Annotated[int | None, Field(ge=1, le=1_000_000, description="Runs of this attempt alone")] = None
    after: Place = None

    @property
    def place(self) -> LogPlace | None:
        return None if self.after is None else LogPlace.parse(self.after)


class RunLogView(TypedDict):
    """``dropped``: how many lines came before these that are kept no more."""

    attempt: int
    lease_token: int
    worker_id: str
    dropped: int
    lines: list[LineJson]


class JobLogView(TypedDict):
    """Oldest run first. ``status`` is the job's, and ``last`` a place to go on from: ``?after=``."""

    job_id: UUID
    status: JobState
    runs: list[RunLogView]
    last: str | None


def job_log_view(log: JobLog) -> JobLogView:
    return {
        "job_id": log.job_id,
        "status": log.status,
        "runs": [_run_view(run) for run in log.runs],
        "last": None if log.last is None else str(log.last),
    }


def _run_view(run: RunLines) -> RunLogView:
    return {
        "attempt": run.attempt,
        "lease_token": run.lease_token,
        "worker_id": run.worker_id,
        "dropped": run.dropped,
        "lines": [embedded(line) for line in run.lines],
    }
