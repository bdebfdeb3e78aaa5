"""Events as streams tell them, and where a client goes on."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from schedora.application.ports.events import Position
from schedora.application.queries.event_feed import EventFilter, Mark, Missed
from schedora.domain.events import JobEvent, Notice
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.workflow import WorkflowState
from schedora.entrypoints.api.event_streams import Dropped
from schedora.entrypoints.api.schemas.fields import FilterName, QueryString, Utc, Uuid
from schedora.entrypoints.api.schemas.jobs import EventView, event_view

VALUES_MAX = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND, _MICROSECOND = timedelta(milliseconds=1), timedelta(microseconds=1)
_MARK = re.compile(r"(\d{1,15})-([\x21-\x7e]{1,300})")
_END = "-end"

Several: Any = Field(
    default_factory=list, max_length=VALUES_MAX, description="Given more than once: any of these"
)
LastEventId = Annotated[
    str | None,
    Field(description="As the header Last-Event-ID, for clients that can't send it; the header counts more"),
]


class MoveView(EventView):
    """``job``: one move of one job."""

    job_id: UUID
    type: str
    queue: str
    workflow_id: UUID | None


class ReadyView(TypedDict):
    """``ready``: from here on, every move is told."""

    at: Utc


class GapView(TypedDict):
    """``gap``: something may have been missed before this."""

    reason: Missed


class DroppedView(TypedDict):
    """``dropped``: the server ends the stream before its end; come back."""

    reason: Dropped


class EndView(TypedDict):
    """``end``: nothing more will come. ``status`` is the last one; null where there is no record any more."""

    status: JobState | WorkflowState | None


class ResumeQuery(QueryString):
    last_event_id: LastEventId = None


class EventsQuery(ResumeQuery):
    queue: Annotated[list[FilterName], Several]
    type: Annotated[list[FilterName], Several]
    status: Annotated[list[JobState], Several]
    workflow_id: Annotated[list[Uuid], Several]
    job_id: Annotated[list[Uuid], Several]

    def wanted(self) -> EventFilter:
        return EventFilter(
            queues=frozenset(self.queue),
            types=frozenset(self.type),
            states=frozenset(self.status),
            workflow_ids=frozenset(map(WorkflowId, self.workflow_id)),
            job_ids=frozenset(map(JobId, self.job_id)),
        )


def notice_view(notice: Notice) -> MoveView:
    return {
        **event_view(notice.event),
        "job_id": notice.job_id,
        "type": notice.type,
        "queue": notice.queue,
        "workflow_id": notice.workflow_id,
    }


def move_view(job: Job, event: JobEvent) -> MoveView:
    request = job.request
    return {
        **event_view(event),
        "job_id": job.job_id,
        "type": request.type,
        "queue": request.queue,
        "workflow_id": request.workflow_id,
    }


def mark_id(mark: Mark) -> str:
    """The id of an event of the feed."""
    return f"{(mark.at - _EPOCH) // _MILLISECOND}-{mark.position}"


def mark_of(event_id: str) -> Mark | None:
    """None for what ``mark_id`` has not made."""
    found = _MARK.fullmatch(event_id)
    if found is None:
        return None
    try:
        return Mark(Position(found[2]), _EPOCH + int(found[1]) * _MILLISECOND)
    except OverflowError:
        return None


def record_ids(events: tuple[JobEvent, ...]) -> list[str]:
    """The id of each event of a job's record: always the same, wherever in the record it stands."""
    seen: dict[str, int] = {}
    ids = []
    for event in events:
        plain = f"{(event.at - _EPOCH) // _MICROSECOND}-{event.to_state}"
        seen[plain] = seen.get(plain, 0) + 1
        ids.append(plain if seen[plain] == 1 else f"{plain}-{seen[plain]}")
    return ids


def end_id(last: str) -> str:
    """The id of the end that comes behind the event of this id."""
    return last + _END


def without_end(event_id: str) -> str:
    return event_id.removesuffix(_END)


def ended_workflow_id(completed_at: datetime | None) -> str:
    """The id of the end of a workflow, which may have several, one after the other."""
    return f"end-{0 if completed_at is None else (completed_at - _EPOCH) // _MICROSECOND}"
