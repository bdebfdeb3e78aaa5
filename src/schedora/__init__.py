"""Schedora: a durable job scheduler and workflow orchestrator on PostgreSQL."""

__version__ = "0.1.0"

from typing import TYPE_CHECKING, Any

from schedora.application.context import JobContext
from schedora.application.directives import Discard, Retry, Snooze
from schedora.application.errors import NotFound, StoreUnavailable
from schedora.domain.job_state import JobState
from schedora.domain.workflow import WorkflowState
from schedora.entrypoints.sdk.app import Schedora
from schedora.entrypoints.sdk.definition import JobDefinition, PreparedJob
from schedora.entrypoints.sdk.errors import (
    ConflictError,
    NotFoundError,
    PayloadTooLarge,
    SchedoraError,
    Unavailable,
    ValidationFailed,
)
from schedora.entrypoints.sdk.signature import InvalidArguments
from schedora.entrypoints.sdk.views import JobView, WorkflowView
from schedora.entrypoints.sdk.workflow import Workflow, WorkflowRun

if TYPE_CHECKING:
    from schedora.entrypoints.sdk.client import AsyncSchedoraClient, SchedoraClient

__all__ = [
    "AsyncSchedoraClient",
    "ConflictError",
    "Discard",
    "InvalidArguments",
    "JobContext",
    "JobDefinition",
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
    "Unavailable",
    "ValidationFailed",
    "Workflow",
    "WorkflowRun",
    "WorkflowState",
    "WorkflowView",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # The HTTP stack doubles the time that an import takes, and most programs do without it.
    if name in {"SchedoraClient", "AsyncSchedoraClient"}:
        from schedora.entrypoints.sdk import client  # noqa: PLC0415 - see above

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
