"""Notices as text: in one form wherever they are kept on their way, for readers of this release and the next."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from schedora.domain.events import JobEvent, Notice
from schedora.domain.ids import JobId, WorkerId, WorkflowId
from schedora.domain.job_state import JobState


def encode_notices(notices: Iterable[Notice]) -> str:
    """A JSON array with one array for each. What later releases may have to add comes behind."""
    return orjson.dumps([_row(notice) for notice in notices]).decode()


def decode_notices(text: str | bytes) -> list[Notice]:
    """What ``encode_notices`` wrote. Raises ``ValueError`` for anything else."""
    try:
        return [_notice(row) for row in orjson.loads(text)]
    except (TypeError, AttributeError) as error:
        raise ValueError(f"these are no notices: {error}") from error


def _row(notice: Notice) -> list[Any]:
    event = notice.event
    # Drivers bring identifiers of a type of their own, which orjson takes for none.
    return [
        str(notice.job_id), notice.type, notice.queue,
        None if notice.workflow_id is None else str(notice.workflow_id),
        event.at, event.from_state, event.to_state, event.attempt, event.worker_id, event.reason,
    ]  # fmt: skip


def _notice(row: list[Any]) -> Notice:
    job_id, job_type, queue, workflow_id, at, from_state, to_state, attempt, worker_id, reason = row[:10]
    return Notice(
        job_id=JobId(UUID(job_id)),
        type=job_type,
        queue=queue,
        workflow_id=None if workflow_id is None else WorkflowId(UUID(workflow_id)),
        event=JobEvent(
            at=datetime.fromisoformat(at),
            from_state=None if from_state is None else JobState(from_state),
            to_state=JobState(to_state),
            attempt=attempt,
            worker_id=None if worker_id is None else WorkerId(worker_id),
            reason=reason,
        ),
    )
