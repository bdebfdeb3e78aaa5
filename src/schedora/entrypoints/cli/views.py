"""Jobs and workflows as people see them."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from schedora.entrypoints.cli.printing import print_details, print_note, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schedora.entrypoints.sdk.views import JobView, WorkflowView


def say_next(cursor: str | None) -> None:
    """Tells how to go on, where there is more."""
    if cursor is not None:
        print_note(f"There is more: --cursor {cursor}")


def print_jobs(jobs: "Iterable[JobView[Any]]") -> None:
    print_table(
        ("JOB ID", "TYPE", "QUEUE", "STATUS", "PRIO", "ATTEMPT", "WORKER", "CREATED", "ERROR"),
        (
            (
                job.job_id,
                job.type,
                job.queue,
                job.status,
                job.priority,
                job.attempt,
                job.worker_id,
                job.created_at,
                job.error_message,
            )
            for job in jobs
        ),
        spare=("WORKER", "PRIO", "CREATED", "QUEUE", "ATTEMPT"),
    )


def print_job(job: "JobView[Any]") -> None:
    retries = f"{job.retry_count} of {job.max_retries}, {job.retry_policy}"
    errors = [
        (f"attempt {error.attempt}", f"{error.kind}: {error.message} (worker {error.worker_id or '-'})")
        for error in job.errors
    ]
    print_details(
        [
            ("job", job.job_id),
            ("type", job.type),
            ("status", job.status),
            ("queue", job.queue),
            ("priority", job.priority),
            ("key", job.key),
            ("idempotency key", job.idempotency_key),
            ("workflow", job.workflow_id),
            ("depends on", ", ".join(str(cause) for cause in job.depends_on) or None),
            ("worker", job.worker_id),
            ("attempt", job.attempt),
            ("retries", retries),
            ("timeout", f"{job.timeout_seconds:g}s"),
            ("created", job.created_at),
            ("scheduled", job.scheduled_at),
            ("claimed", job.claimed_at),
            ("started", job.started_at),
            ("completed", job.completed_at),
            ("payload", job.payload),
            ("progress", job.progress),
            ("result", job.result),
            ("error", job.error_message),
            *errors,
            ("trace", job.trace_id),
        ]
    )


def print_workflow(workflow: "WorkflowView") -> None:
    print_details(
        [
            ("workflow", workflow.workflow_id),
            ("name", workflow.name),
            ("status", workflow.status),
            ("description", workflow.description or None),
            ("config", workflow.config or None),
            ("created", workflow.created_at),
            ("completed", workflow.completed_at),
            ("jobs", counts(workflow)),
        ]
    )


def counts(workflow: "WorkflowView") -> str:
    """What has become of its jobs, in words."""
    kinds = (
        (workflow.completed_jobs, "done"),
        (workflow.running_jobs, "running"),
        (workflow.pending_jobs, "pending"),
        (workflow.failed_jobs, "failed"),
        (workflow.canceled_jobs, "canceled"),
    )
    told = ", ".join(f"{count} {kind}" for count, kind in kinds if count)
    return f"{workflow.total_jobs}: {told}" if told else "none"


def print_steps(workflow: "WorkflowView") -> None:
    """Its jobs, each with what it waits for."""
    names = {job.job_id: job.key or str(job.job_id) for job in workflow.jobs}
    causes: dict[UUID, list[str]] = {}
    for cause, effect in workflow.edges:
        causes.setdefault(effect, []).append(names[cause])
    rows = (
        (
            job.job_id,
            job.key,
            job.type,
            job.status,
            job.attempt,
            ", ".join(causes.get(job.job_id, ())) or None,
            job.error_message,
        )
        for job in workflow.jobs
    )
    print_table(
        ("JOB ID", "KEY", "TYPE", "STATUS", "ATTEMPT", "AFTER", "ERROR"), rows, spare=("ATTEMPT", "TYPE")
    )
