"""Whole jobs and workflows, as pages take them: what ``full_jobs.sql`` and ``full_workflows.sql`` say, for statements
that are built.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, Text, case, cast, false, func, literal_column, select, true

from schedora.adapters.postgres.tables import job_leases, jobs, workflows

_DOCUMENTS = ("payload", "errors", "history", "result")


def selected_jobs() -> Select[Any]:
    """Whole jobs: the record, beside it the lease where there is one. Documents come as texts."""
    record = [
        cast(column, Text).label(column.name) if column.name in _DOCUMENTS else column
        for column in jobs.columns
    ]
    lease = [
        column.label(f"held_{column.name}")
        for column in (
            job_leases.c.lease_id,
            job_leases.c.token,
            job_leases.c.owner,
            job_leases.c.worker_id,
            job_leases.c.claimed_at,
            job_leases.c.started_at,
        )
    ]
    progress = cast(job_leases.c.progress, Text).label("held_progress")
    return select(*record, *lease, progress).select_from(
        jobs.outerjoin(job_leases, job_leases.c.job_id == jobs.c.job_id)
    )


def selected_workflows() -> Select[Any]:
    """Whole workflows, with what their kept counts do not tell."""
    running = (
        select(func.count(job_leases.c.job_id))
        .where(job_leases.c.workflow_id == workflows.c.workflow_id, job_leases.c.started_at.is_not(None))
        .scalar_subquery()
    )
    columns = [
        cast(column, Text).label(column.name) if column.name == "config" else column
        for column in workflows.columns
    ]
    return select(*columns, running.label("running_jobs"), workflow_begun().label("begun"))


def workflow_begun() -> ColumnElement[bool]:
    """Whether any job of it was ever claimed, as far as the kept counts don't tell."""
    # In this order, and no further than needed: only a workflow of which nothing was ever claimed is read whole.
    return case(
        (workflows.c.succeeded_jobs + workflows.c.failed_jobs > 0, true()),
        (_any_where(job_leases.c.workflow_id == workflows.c.workflow_id), true()),
        else_=_any_where(jobs.c.workflow_id == workflows.c.workflow_id, jobs.c.lease_token > 0),
    )


def _any_where(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Asked anew for each row: what an ``exists`` asks for a page may be answered by reading whole tables."""
    found = select(true()).where(*conditions).limit(literal_column("1")).correlate(workflows)
    return func.coalesce(found.scalar_subquery(), false())
