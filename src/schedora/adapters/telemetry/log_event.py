"""What a record of the standard library's logging says, as a line has it: its fields, and those of the request or the
run that it was logged in, without secrets.
"""

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from schedora.application.log import FIELDS
from schedora.application.request_scope import RequestScope, current_request
from schedora.application.run_scope import RunScope, current_run
from schedora.application.telemetry.redaction import Redaction
from schedora.domain.errors import brief
from schedora.domain.trace import trace_id_of

Event = dict[str, Any]

_MADE: Final = "schedora_event"
_KNOWN: Final = "schedora_known"
_ITS_OWN: Final = frozenset({"timestamp", "level", "message", "logger"})
"""What a line says of itself: fields of these names step aside."""

_OF_RECORDS: Final = frozenset(
    {
        *vars(logging.makeLogRecord({})),
        "message",
        "asctime",
        "taskName",
        FIELDS,
        _MADE,
        _KNOWN,
        "color_message",
    }
)


def event_of(record: logging.LogRecord, redaction: Redaction) -> Event:
    """Made once for all that ask for it."""
    made = record.__dict__.get(_MADE)
    if made is None or made[0] is not redaction:
        try:
            event = _made(record, redaction)
        except Exception as error:  # noqa: BLE001 - fields are anybody's objects, and whoever logs must not pay for them
            event = _scanty(record, redaction, error)
        made = record.__dict__[_MADE] = (redaction, event)
    told: Event = made[1]
    return told


def own_fields(record: logging.LogRecord, redaction: Redaction) -> Event:
    """``event_of`` without what the run says of every line of its own."""
    event = event_of(record, redaction)
    known: Event = record.__dict__.get(_KNOWN, {})
    return {name: value for name, value in event.items() if name not in known or known[name] != value}


def timestamp(at: datetime) -> str:
    """Of an instant in UTC."""
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def run_fields(run: RunScope) -> Event:
    """By what each line of a run names it."""
    job = run.job
    fields: Event = {"job_id": str(job.job_id), "job_type": job.type, "worker_id": job.worker_id}
    if job.workflow_id is not None:
        fields["workflow_id"] = str(job.workflow_id)
    fields["attempt"] = job.current_attempt
    fields["trace_id"] = trace_id_of(job.traceparent)
    return fields


def request_fields(request: RequestScope) -> Event:
    """By what each line of a request names it."""
    return {
        **request.subject,
        "correlation_id": request.correlation_id,
        "trace_id": request.trace.trace_id,
    }


def _made(record: logging.LogRecord, redaction: Redaction) -> Event:
    fields: Event
    told: Event | None = record.__dict__.get(FIELDS)
    if told is None:
        message = _message(record)
        fields = {name: value for name, value in vars(record).items() if name not in _OF_RECORDS}
    else:
        fields = told.copy()
        message = str(fields.pop("event", ""))  # anything may be logged as a message
    exception = _exception(record.exc_info or fields.pop("exc_info", None))
    stack = fields.pop("stack", None) or record.stack_info
    event: Event = {
        "timestamp": timestamp(datetime.fromtimestamp(record.created, UTC)),
        "level": record.levelname.lower(),
        "message": redaction.text(message),
    }
    for name, value in redaction.fields(fields).items():
        event[f"{name}_" if name in _ITS_OWN else name] = value
    event["logger"] = record.name
    if (run := current_run.get()) is not None:
        record.__dict__[_KNOWN] = run_fields(run)
    for name, value in _surroundings(record, redaction).items():
        event.setdefault(name, value)
    if stack is not None:
        event["stack"] = redaction.text(str(stack))
    if exception is not None:
        event["exception"] = redaction.text(exception)
    return event


def _scanty(record: logging.LogRecord, redaction: Redaction, error: Exception) -> Event:
    """What can be told of a record in any case."""
    return {
        "timestamp": timestamp(datetime.fromtimestamp(record.created, UTC)),
        "level": record.levelname.lower(),
        "message": redaction.text(brief(record.msg, 1_000)),
        "logger": record.name,
        "not_told": type(error).__name__,
    }


def _surroundings(record: logging.LogRecord, redaction: Redaction) -> Event:
    bound = redaction.fields(structlog.contextvars.get_contextvars())
    known: Event | None = record.__dict__.get(_KNOWN)
    if known is not None:
        return bound | known
    if (request := current_request.get()) is not None:
        return bound | request_fields(request)
    return bound


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a mistake of whoever logs must not cost the line
        return f"{record.msg} {brief(record.args, 1_000)}"


def _exception(told: Any) -> str | None:
    """The traceback; None where there is none."""
    match told:
        case True:
            error = sys.exception()
        case BaseException():
            error = told
        case (_, BaseException() as error, _):
            pass
        case _:
            return None
    if error is None:
        return None
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception as second:  # noqa: BLE001 - formatting calls the user's __str__ and __repr__
        return f"<{type(error).__name__} whose traceback can't be told: {type(second).__name__}>"
