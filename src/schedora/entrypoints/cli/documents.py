"""What ``--json`` prints: the documents of the API, without the ``data`` around single things."""

from datetime import datetime
from typing import Any
from uuid import UUID

import attrs

from schedora.entrypoints.sdk.api_views import Reason
from schedora.entrypoints.sdk.event_views import JobMove, StreamGap, StreamReady
from schedora.entrypoints.sdk.log_views import LogLine
from schedora.entrypoints.sdk.views import JobView, WorkflowView

OF_A_SUBMISSION = frozenset({"created", "same_request"})
"""What is said of a submission and not of a job."""

RENAMED = {"from_state": "from", "to_state": "to", "event_id": "id"}
"""To the names that the API has."""


def document(value: object) -> Any:
    """``value`` one step nearer to JSON: for ``json.dumps``, which asks again for what is inside."""
    match value:
        case WorkflowView():
            told = _fields(value)
            jobs, edges = told.pop("jobs"), told.pop("edges")
            if value.total_jobs and not jobs:  # lists, and answers to commands, tell of no single job
                return told
            return {**told, "jobs": jobs, "edges": [{"from": cause, "to": effect} for cause, effect in edges]}
        case JobView():
            return {name: field for name, field in _fields(value).items() if name not in OF_A_SUBMISSION}
        case JobMove():
            return {"event": "job", **_renamed(value)}
        case StreamReady():
            return {"event": "ready", **_renamed(value)}
        case StreamGap():
            return {"event": "gap", **_renamed(value)}
        case LogLine():
            named = {name: getattr(value, name) for name in ("timestamp", "level", "message")}
            more = {name: getattr(value, name) for name in ("logger", "exception")}
            return {
                **named,
                **value.fields,
                **{name: text for name, text in more.items() if text is not None},
            }
        case Reason():
            return {name: field for name, field in _fields(value).items() if field not in (None, ())}
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
    if attrs.has(type(value)):
        return _fields(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}


def _renamed(value: Any) -> dict[str, Any]:
    return {RENAMED.get(name, name): field for name, field in _fields(value).items()}
