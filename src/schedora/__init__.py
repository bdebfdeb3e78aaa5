"""Schedora: a durable job scheduler and workflow orchestrator on PostgreSQL."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from schedora.application.context import JobContext
    from schedora.application.directives import Discard, Retry, Snooze
    from schedora.application.errors import NotFound, StoreUnavailable
    from schedora.domain.job_state import JobState
    from schedora.domain.workflow import WorkflowState
    from schedora.entrypoints.sdk.app import Schedora
    from schedora.entrypoints.sdk.client import AsyncSchedoraClient, SchedoraClient
    from schedora.entrypoints.sdk.definition import JobDefinition, PreparedJob
    from schedora.entrypoints.sdk.errors import (
        ConflictError,
        NotFoundError,
        PayloadTooLarge,
        SchedoraError,
        Unavailable,
        UnknownEndpoint,
        ValidationFailed,
    )
    from schedora.entrypoints.sdk.event_views import JobMove, StreamGap, StreamReady
    from schedora.entrypoints.sdk.signature import InvalidArguments
    from schedora.entrypoints.sdk.views import JobView, WorkflowStatus, WorkflowView
    from schedora.entrypoints.sdk.workflow import Workflow, WorkflowRun

__all__ = [
    "AsyncSchedoraClient",
    "ConflictError",
    "Discard",
    "InvalidArguments",
    "JobContext",
    "JobDefinition",
    "JobMove",
    "JobState",
    "JobView",
    "NotFound",
    "NotFoundError",
    "PayloadTooLarge",
    "PreparedJob",
    "Retry",
    "Schedora",
    "SchedoraClient",
    "SchedoraError",
    "Snooze",
    "StoreUnavailable",
    "StreamGap",
    "StreamReady",
    "Unavailable",
    "UnknownEndpoint",
    "ValidationFailed",
    "Workflow",
    "WorkflowRun",
    "WorkflowState",
    "WorkflowStatus",
    "WorkflowView",
    "__version__",
]

# A name costs its imports when it is first used: the command, which uses none of them, starts at once, and
# programs that need no HTTP load no HTTP. A test holds this table against the imports above.
_HOMES = {
    "schedora.application.context": ("JobContext",),
    "schedora.application.directives": (
        "Discard",
        "Retry",
        "Snooze",
    ),
    "schedora.application.errors": (
        "NotFound",
        "StoreUnavailable",
    ),
    "schedora.domain.job_state": ("JobState",),
    "schedora.domain.workflow": ("WorkflowState",),
    "schedora.entrypoints.sdk.app": ("Schedora",),
    "schedora.entrypoints.sdk.client": (
        "AsyncSchedoraClient",
        "SchedoraClient",
    ),
    "schedora.entrypoints.sdk.definition": (
        "JobDefinition",
        "PreparedJob",
    ),
    "schedora.entrypoints.sdk.errors": (
        "ConflictError",
        "NotFoundError",
        "PayloadTooLarge",
        "SchedoraError",
        "Unavailable",
        "UnknownEndpoint",
        "ValidationFailed",
    ),
    "schedora.entrypoints.sdk.event_views": (
        "JobMove",
        "StreamGap",
        "StreamReady",
    ),
    "schedora.entrypoints.sdk.signature": ("InvalidArguments",),
    "schedora.entrypoints.sdk.views": (
        "JobView",
        "WorkflowStatus",
        "WorkflowView",
    ),
    "schedora.entrypoints.sdk.workflow": (
        "Workflow",
        "WorkflowRun",
    ),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(home), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
