"""Schedora: a durable job scheduler and workflow orchestrator on PostgreSQL."""

__version__ = "0.1.0"

from schedora.application.context import JobContext
from schedora.application.directives import Discard, Retry, Snooze
from schedora.entrypoints.sdk.app import Schedora
from schedora.entrypoints.sdk.definition import JobDefinition, PreparedJob
from schedora.entrypoints.sdk.views import JobView, WorkflowView
from schedora.entrypoints.sdk.workflow import Workflow, WorkflowRun

__all__ = [
    "Discard",
    "JobContext",
    "JobDefinition",
    "JobView",
    "PreparedJob",
    "Retry",
    "Schedora",
    "Snooze",
    "Workflow",
    "WorkflowRun",
    "WorkflowView",
    "__version__",
]
